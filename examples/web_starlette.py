"""A web application on asyncio whose lifespan starts and stops the scheduler.

Needs:  pip install starlette httpx
Run:    python examples/web_starlette.py
        uvicorn --app-dir examples web_starlette:app      (with one worker; each worker is a scheduler of its own)
Output: POST /refresh: 202; GET /: {'rate': ; GET /health: True
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from rota.schedulers.asyncio import AsyncIOScheduler

scheduler = AsyncIOScheduler()
rate = 0


async def refresh_rate() -> None:
    """Fetch something that requests should not have to wait for."""
    global rate
    await asyncio.sleep(0.01)
    rate += 1


@asynccontextmanager
async def lifespan(app: Starlette) -> AsyncIterator[None]:
    scheduler.add_job(refresh_rate, "interval", seconds=0.3, id="refresh", replace_existing=True)
    scheduler.start()
    yield
    await scheduler.shutdown()  # waits for the runs under way


async def show(request: Request) -> Response:
    return JSONResponse({"rate": rate})


async def refresh(request: Request) -> Response:
    await scheduler.aio.add_job(refresh_rate)  # now, once; the loop does not wait for the store
    return Response(status_code=202)


async def health(request: Request) -> Response:
    report = scheduler.health()
    return JSONResponse(report, status_code=200 if report["alive"] else 503)


routes = [
    Route("/", show),
    Route("/refresh", refresh, methods=["POST"]),
    Route("/health", health),
]
app = Starlette(routes=routes, lifespan=lifespan)


async def main() -> None:
    """Do what a server does, and ask the application a few questions."""
    from httpx import ASGITransport, AsyncClient

    client = AsyncClient(transport=ASGITransport(app), base_url="http://example")
    async with lifespan(app), client:
        print("POST /refresh:", (await client.post("/refresh")).status_code)
        await asyncio.sleep(0.75)
        print("GET /:", (await client.get("/")).json())
        print("GET /health:", (await client.get("/health")).json()["alive"])


if __name__ == "__main__":
    asyncio.run(main())
