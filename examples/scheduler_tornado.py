"""A scheduler on Tornado's loop, beside a web server that shows what it does.

Needs:  pip install 'rota[tornado]'
Run:    python examples/scheduler_tornado.py
Output: the page says: 3 visits counted
"""

from __future__ import annotations

import asyncio

from tornado.httpclient import AsyncHTTPClient
from tornado.httpserver import HTTPServer
from tornado.netutil import bind_sockets
from tornado.web import Application, RequestHandler

from rota.schedulers.tornado import TornadoScheduler

visits = 0
enough = asyncio.Event()


class Page(RequestHandler):
    def get(self) -> None:
        self.write(f"{visits} visits counted")


async def count_visits() -> None:
    global visits
    visits += 1
    if visits == 3:
        enough.set()


async def main() -> None:
    sockets = bind_sockets(0, "127.0.0.1")  # any free port
    server = HTTPServer(Application([("/", Page)]))
    server.add_sockets(sockets)

    scheduler = TornadoScheduler()
    scheduler.add_job(count_visits, "interval", seconds=0.3)
    scheduler.start()

    await enough.wait()
    scheduler.pause()
    port = sockets[0].getsockname()[1]
    answer = await AsyncHTTPClient().fetch(f"http://127.0.0.1:{port}/")
    print("the page says:", answer.body.decode())
    await scheduler.shutdown()  # waits for the runs under way
    server.stop()


if __name__ == "__main__":
    asyncio.run(main())
