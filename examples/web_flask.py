"""A Flask application with a scheduler in the background.

Needs:  pip install flask
Run:    python examples/web_flask.py
        flask --app examples/web_flask run      (not with --reload or --debug: the reloader starts a second process)
Output: cleanings so far; POST /jobs/cleaning/pause: paused
"""

from __future__ import annotations

from flask import Flask, abort

from rota.schedulers.background import BackgroundScheduler


def create_app() -> Flask:
    app = Flask(__name__)
    scheduler = BackgroundScheduler()
    cleanings = 0

    def clean_up() -> None:
        nonlocal cleanings
        with app.app_context():  # for what the job does with the database, the configuration, url_for()…
            cleanings += 1
            app.logger.info("cleaned up")

    scheduler.add_job(clean_up, "interval", seconds=0.4, id="cleaning", name="Clean up")
    scheduler.start()  # it shuts down by itself when the program ends

    @app.get("/")
    def index() -> str:
        return f"{cleanings} cleanings so far"

    @app.post("/jobs/<job_id>/pause")
    def pause(job_id: str) -> str:
        job = scheduler.get_job(job_id)
        if job is None:
            abort(404)
        return "paused" if job.pause().next_run_time is None else "still active"

    return app


def main() -> None:
    import time

    client = create_app().test_client()
    time.sleep(1)
    print("GET /:", client.get("/").text)
    print("POST /jobs/cleaning/pause:", client.post("/jobs/cleaning/pause").text)


if __name__ == "__main__":
    main()
