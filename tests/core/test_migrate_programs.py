"""What `rota migrate` makes of a file: only names of modules, loggers, options and distributions change, nothing else does."""

from __future__ import annotations

import ast
import importlib
import os
from pathlib import PurePosixPath, PureWindowsPath
from textwrap import dedent

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rota.errors import StoreError
from rota.importers.programs import diff, migrated
from rota.importers.programs.names import MODULES
from rota.importers.programs.paths import identity, is_passed_over
from rota.importers.sources import read_source
from rota.jobstores.earlier import by_import


def change(text: str, name: str = "program.py") -> str:
    """Return a file after its migration, which a second one leaves as it is."""
    data = dedent(text).encode()
    first = migrated(name, data)
    second = migrated(name, first.data)
    assert second.data == first.data, "the second migration changed something"
    assert not second.edits
    if name.endswith(".py"):
        ast.parse(first.data)
    return first.data.decode()


def said(text: str, name: str = "program.py", kind: str = "look") -> list[tuple[int, str]]:
    return [
        (remark.line, remark.text)
        for remark in migrated(name, dedent(text).encode()).remarks
        if remark.kind == kind
    ]


def same(text: str, name: str = "program.py") -> None:
    assert change(text, name) == dedent(text)


# -- imports and the names that they bind --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("from apscheduler.schedulers.background import BackgroundScheduler\n",) * 2,
        ("from apscheduler import events\n",) * 2,
        ("import apscheduler.events as e, os\n",) * 2,
        ("import apscheduler as aps\nprint(aps.events)\n",) * 2,
        ("from  apscheduler . events  import *\n",) * 2,
        ("from \\\n  apscheduler.events import EVENT_ALL\n",) * 2,
        ("def f():\n\tfrom apscheduler.events import EVENT_ALL  # apscheduler\n", None),
        (
            "import apscheduler\nimport apscheduler.events\n\n\ndef f():\n    return apscheduler.events.EVENT_ALL\n",
            "import rota\nimport rota.events\n\n\ndef f():\n    return rota.events.EVENT_ALL\n",
        ),
    ],
)
def test_imports_are_changed_in_every_form(before, after):
    if after is None:
        after = before.replace("from apscheduler", "from rota")
    elif after == before:
        after = before.replace("apscheduler", "rota")
    assert change(before) == after


@pytest.mark.parametrize(
    "text",
    [
        "from .apscheduler import jobs\n",
        "from . import apscheduler\n",
        "from flask_apscheduler import APScheduler\n",
        "import django_apscheduler.jobstores\n",
        "from shop.apscheduler.events import x\n",
        "apscheduler = 3\nprint(apscheduler)\n",
        "def f(apscheduler): return apscheduler.events\n",
        "self.apscheduler.start()\n",
    ],
)
def test_modules_and_variables_of_the_same_name_are_left_alone(text):
    same(text)


def test_only_names_that_mean_the_package_are_changed():
    assert change(
        """
        import apscheduler

        class Holder:
            aps = apscheduler.events
            def f(self, apscheduler):
                return apscheduler, [apscheduler for apscheduler in self.apscheduler]
            def g(self):
                global apscheduler
                return apscheduler.events, lambda apscheduler=apscheduler: apscheduler
            def h(self):
                from os import path as apscheduler
                return apscheduler
        """
    ) == dedent(
        """
        import rota

        class Holder:
            aps = rota.events
            def f(self, apscheduler):
                return apscheduler, [apscheduler for apscheduler in self.apscheduler]
            def g(self):
                global rota
                return rota.events, lambda apscheduler=rota: apscheduler
            def h(self):
                from os import path as apscheduler
                return apscheduler
        """
    )


def test_an_optional_package_stays_optional():
    assert change(
        """
        try:
            import apscheduler
        except ImportError:
            apscheduler = None
        there = apscheduler is not None
        """
    ) == dedent(
        """
        try:
            import rota
        except ImportError:
            rota = None
        there = rota is not None
        """
    )


def test_a_program_that_has_something_called_rota_keeps_the_old_name_for_the_package():
    before = "import apscheduler\nrota = ['Monday']\nprint(apscheduler.events, rota)\n"
    assert change(before) == before.replace("import apscheduler", "import rota as apscheduler")


def test_a_class_that_has_the_name_of_the_package_for_something_in_it_keeps_the_old_name():
    before = "import apscheduler\nclass C:\n    apscheduler = apscheduler.events\n"
    assert change(before) == before.replace("import apscheduler", "import rota as apscheduler")


def test_a_program_in_which_neither_name_is_free_is_left_alone_and_told():
    text = "import apscheduler.events\nrota = []\nprint(apscheduler.events)\n"
    same(text)
    ((line, why),) = said(text)
    assert line == 2
    assert "the name rota is used for something else" in why


def test_what_rota_does_not_have_is_left_and_told():
    text = "from apscheduler.jobstores.rethinkdb import RethinkDBJobStore\n"
    same(text)
    assert "no RethinkDB store" in said(text)[0][1]
    assert "written for APScheduler 4" in said("from apscheduler import AsyncScheduler\n")[0][1]
    assert "written for APScheduler 2" in said("from apscheduler.scheduler import Scheduler\n")[0][1]
    same("from apscheduler import AsyncScheduler\n")


def test_a_file_that_does_not_parse_is_left_and_told():
    text = "import apscheduler\nprint 'no'\n"
    same_bytes = migrated("old.py", text.encode())
    assert same_bytes.data == text.encode()
    assert same_bytes.remarks[0].line == 2
    assert "does not parse it" in same_bytes.remarks[0].text
    for damaged in (
        b"import apscheduler\0",
        b"# coding: nothing\nimport apscheduler",
        b"import apscheduler # \xff",
    ):
        result = migrated("old.py", damaged)
        assert result.data == damaged
        assert result.remarks


def test_the_modules_that_rota_is_said_to_have_are_there():
    for module in sorted(MODULES):
        if module.rpartition(".")[2] not in (
            "gevent",
            "qt",
            "tornado",
            "twisted",
            "etcd",
            "redis",
            "zookeeper",
            "mongodb",
        ):
            importlib.import_module(f"rota.{module}")


# -- texts in programs ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        "x = {'class': 'apscheduler.jobstores.sqlalchemy:SQLAlchemyJobStore', 'max_workers': '20'}\n",
        "BackgroundScheduler({'apscheduler.jobstores.default': {'type': 'memory'}, 'apscheduler.timezone': 'UTC'})\n",
        "BackgroundScheduler({'apscheduler.job_defaults.coalesce': 'false'}, prefix='apscheduler.')\n",
        "with mock.patch(\"apscheduler.schedulers.base.BaseScheduler.start\") as m: pass\n",
        "patch.dict('sys.modules', {'apscheduler': m, 'apscheduler.events': m})\n",
        "sys.modules['apscheduler'] = m\n",
        "if 'apscheduler' in sys.modules: pass\n",
        "importlib.import_module('apscheduler'); __import__('apscheduler.events')\n",
        "importlib.import_module(f'apscheduler.triggers.{name}')\n",
        "stub('apscheduler'); stub('apscheduler.schedulers')\n",
        "logging.getLogger('apscheduler').setLevel(30)\n",
        "logging.getLogger('apscheduler.executors.default')\n",
        "logging.getLogger('apscheduler.executors.%s' % alias)\n",
        "logging.getLogger('apscheduler.executors.' + alias)\n",
        "logging.getLogger(rb'x' and r'''apscheduler.scheduler''')\n",
        "for name in ('apscheduler', 'httpx'): logging.getLogger(name)\n",
        "NOISY = ['httpx', 'apscheduler']\nfor n in NOISY: logging.getLogger(n)\n",
        "LEVELS = {'apscheduler': logging.WARNING, 'x': 'INFO'}\n",
        "dictConfig({'loggers': {'apscheduler': {'level': 'INFO'}, 'apscheduler.scheduler': {}}})\n",
        "caplog.at_level(10, logger='apscheduler')\n",
        "x = {'apscheduler': {'handlers': [], 'level': 'INFO'}}\n",
        "structlog.get_logger('apscheduler'); self.assertLogs('apscheduler')\n",
        "ok = record.name.startswith('apscheduler')\n",
        "ok = record['name'].startswith(('apscheduler', 'httpx'))\n",
        "ok = record.name == 'apscheduler'\n",
        "def f(s: 'apscheduler.schedulers.base.BaseScheduler') -> 'list[apscheduler.job.Job]': ...\n",
        "setup(entry_points={'apscheduler.triggers': ['x = y:Z']})\n",
        "x = ('apscheduler.'\n     'events')\n",
    ],
)  # fmt: skip
def test_texts_that_name_modules_loggers_and_options_are_changed(text):
    assert change(text) == text.replace("apscheduler", "rota")


@pytest.mark.parametrize(
    "text",
    [
        "'''Runs apscheduler.events for apscheduler.'''\n",
        "'apscheduler.events'\n",
        "SQLAlchemyJobStore(url='postgresql://apscheduler:apscheduler@db/apscheduler', tablename='apscheduler_jobs')\n",
        "SQLAlchemyJobStore('sqlite:///apscheduler.db')\n",
        "RedisJobStore(jobs_key='apscheduler.jobs', run_times_key='apscheduler.run_times')\n",
        "RedisJobStore(jobs_key='apscheduler.events')\n",
        "MongoDBJobStore(database='apscheduler', collection='apscheduler.job')\n",
        "client['apscheduler']['jobs']\n",
        "x = {'database': 'apscheduler', 'path': '/apscheduler', 'key': 'apscheduler.job'}\n",
        "app.extensions['apscheduler']\n",
        "log('apscheduler'); logger.info('apscheduler'); login('apscheduler')\n",
        "open('apscheduler.log'); open('apscheduler.scheduler.log'); open('logs/apscheduler.events')\n",
        "print('uses apscheduler.events', f'{x} apscheduler.events', 'apscheduler')\n",
        "x = 1  # apscheduler.events\n",
        "Thread(name='APScheduler')\n",
        "INSTALLED_APPS = ['django_apscheduler', 'apscheduler_app']\n",
        "keywords = ['apscheduler']\n",
    ],
)
def test_data_prose_and_comments_are_left_alone(text):
    same(text)


def test_a_text_that_was_left_is_told():
    assert said("app.extensions['apscheduler']\n", kind="left") == [(1, "app.extensions['apscheduler']")]
    assert not said("'''apscheduler'''\nx = 'django_apscheduler'\nimport apscheduler\n", kind="left")


def test_comparisons_of_versions_are_told():
    text = """\
        import apscheduler
        from importlib.metadata import version
        assert version('APScheduler') > '3'
        print(apscheduler.__version__)
        """
    assert "version('rota')" in change(text)
    assert [line for line, _ in said(text)] == [3, 4]


def test_libraries_that_import_apscheduler_are_told():
    text = "from flask_apscheduler import APScheduler\nfrom telegram.ext import JobQueue\n"
    assert said(text, kind="library") == [(1, "flask_apscheduler"), (2, "telegram")]


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("SQLAlchemyJobStore(url='sqlite:///jobs.sqlite')", "sqlite:///jobs.sqlite --to sqlite:///jobs.sqlite"),
        ("s.add_jobstore('sqlalchemy', url=URL)", "sqlalchemy: rota import apscheduler URL --to URL"),
        ("x = {'type': 'sqlalchemy', 'url': 'sqlite:///j', 'tablename': 'tasks'}", "sqlite:///j --name tasks --to sqlite:///j"),
        ("RedisJobStore(host='cache', db=3)", "redis://cache:6379/3 --to"),
        ("MongoDBJobStore(collection='tasks')", "mongodb://localhost:27017/apscheduler --name tasks --to"),
        ("RethinkDBJobStore()", "export_jobs"),
        ("ZooKeeperJobStore()", "zookeeper://127.0.0.1:2181 --to zookeeper://127.0.0.1:2181/rota"),
        ("ZooKeeperJobStore(path='/p', hosts='a:1,b:2')", "zookeeper://a:1,b:2 --name /p --to zookeeper://a:1,b:2/rota"),
        ("x = {'type': 'etcd', 'host': HOST, 'port': 79}", "etcd: rota import apscheduler etcd://…:79 --to etcd://…:79/rota"),
        ("EtcdJobStore(host='e', path='jobs')", "etcd://e:2379 --name jobs --to etcd://e:2379/rota"),
        ("SQLAlchemyJobStore('postgresql://me:secret@db/x')", "rota import apscheduler postgresql://***@db/x"),
    ],
)  # fmt: skip
def test_stores_are_told_with_the_command_that_takes_their_jobs_over(text, wanted):
    ((line, told),) = said(f"# apscheduler\n{text}\n", kind="stored")
    assert line == 2
    assert wanted in told
    assert "secret" not in told


def test_a_store_in_memory_and_apschedulers_own_table_name_are_seen():
    assert not said("x = 'apscheduler'\nSQLAlchemyJobStore('sqlite://')\n", kind="stored")
    text = "import apscheduler\nSQLAlchemyJobStore(url=U, tablename='apscheduler_jobs')\n"
    assert said(text) == [
        (2, "tablename='apscheduler_jobs' is APScheduler's and will be refused; leave tablename out")
    ]
    text = "import apscheduler\nEtcdJobStore(path='/apscheduler')\n"
    assert said(text) == [(2, "path='/apscheduler' is APScheduler's and will be refused; leave path out")]


def test_crontab_strings_that_are_read_otherwise_are_told_with_both_readings():
    text = """\
        from apscheduler.triggers.cron import CronTrigger
        CronTrigger.from_crontab("0 9 * * 1")
        CronTrigger.from_crontab("0 9 * * mon")
        CronTrigger.from_crontab(expr=setting, timezone="UTC")
        CronTrigger.from_crontab(setting, dialect="cron")
        """
    (first, readings), (second, unknown) = said(text)
    assert (first, second) == (2, 4)
    assert "At 09:00, on Monday. APScheduler 3 read it as: At 09:00, on Tuesday" in readings
    assert "not written here" in unknown


# -- requirements --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("APScheduler", "rota"),
        ("apscheduler==3.10.4", "rota"),
        ("APScheduler[sqlalchemy, redis]>=3.10,<4  # jobs", "rota[sql,redis]  # jobs"),
        ("APScheduler >= 3.10 ; python_version > '3.8'", "rota ; python_version > '3.8'"),
        ("APScheduler~=3.11.0\r", "rota\r"),
    ],
)
def test_a_requirement_gets_the_name_and_the_extras_of_rota(before, after):
    text = f"requests>=2\n{before}\nflask\n"
    for name in ("requirements.txt", "requirements-dev.txt", "dev_requirements.in", "requirements/base.txt"):
        assert migrated(name, text.encode()).data.decode() == f"requests>=2\n{after}\nflask\n"


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("APScheduler==4.0.0a5", "APScheduler 4"),
        ("apscheduler==3.10.4 \\\n    --hash=sha256:00", "locked by a hash"),
        ("-e git+https://github.com/agronholm/apscheduler.git#egg=apscheduler", "by hand"),
        ("apscheduler @ git+https://example.org/x", "by hand"),
    ],
)
def test_a_requirement_that_cannot_be_changed_is_told(line, why):
    same(f"{line}\n", "requirements.txt")
    assert why in said(f"{line}\n", "requirements.txt")[0][1]


def test_requirements_of_others_are_left_alone():
    same(
        "flask-apscheduler==1.13\ndjango_apscheduler\napscheduler-di\n# apscheduler==3\n", "requirements.txt"
    )
    assert "SQLAlchemy 2.0" in said("apscheduler\nSQLAlchemy==1.4.52\n", "requirements.txt")[0][1]


def test_pyproject_is_changed_where_it_lists_requirements():
    before = """
        [project]
        name = "apscheduler-web"
        requires-python = ">=3.12"
        keywords = ["apscheduler"]
        dependencies = ["flask", "APScheduler[sqlalchemy]>=3.10,<4"]  # apscheduler
        [project.optional-dependencies]
        jobs = [
          'apscheduler>=3',  # "apscheduler"
        ]
        [tool.poetry.dependencies]
        apscheduler = "^3.10"
        Apscheduler = {version = "^3", extras = ["redis", "rethinkdb"], optional = true}
        [[tool.mypy.overrides]]
        module = ["apscheduler.*", "x"]
        [project.entry-points."apscheduler.triggers"]
        tide = "sea:Tide"
        [tool.app.logging.loggers]
        apscheduler = { level = "INFO" }
        [tool.app.database]
        apscheduler = "x"
        """
    after = """
        [project]
        name = "apscheduler-web"
        requires-python = ">=3.12"
        keywords = ["apscheduler"]
        dependencies = ["flask", "rota[sql]"]  # apscheduler
        [project.optional-dependencies]
        jobs = [
          'rota',  # "apscheduler"
        ]
        [tool.poetry.dependencies]
        rota = "*"
        rota = {version = "*", extras = ["redis"], optional = true}
        [[tool.mypy.overrides]]
        module = ["rota.*", "x"]
        [project.entry-points."rota.triggers"]
        tide = "sea:Tide"
        [tool.app.logging.loggers]
        rota = { level = "INFO" }
        [tool.app.database]
        apscheduler = "x"
        """
    assert change(before, "pyproject.toml") == dedent(after)
    assert "no extra rethinkdb" in str(said(before, "pyproject.toml"))
    assert (
        "Python 3.11"
        in said('[project]\nrequires-python = ">=3.8"\ndependencies = ["apscheduler"]\n', "pyproject.toml")[
            0
        ][1]
    )


def test_setup_files_a_pipfile_and_what_conda_reads_are_changed():
    assert (
        change(
            "setup(name='apscheduler', install_requires=['APScheduler>=3', \"x\"],\n  extras_require={'a': ['apscheduler']})\n",
            "setup.py",
        )
        == "setup(name='apscheduler', install_requires=['rota', \"x\"],\n  extras_require={'a': ['rota']})\n"
    )
    assert change(
        "[options]\ninstall_requires =\n  x\n  APScheduler>=3\nname = apscheduler\n", "setup.cfg"
    ) == ("[options]\ninstall_requires =\n  x\n  rota\nname = apscheduler\n")
    assert change("[packages]\nAPScheduler = '*'\n[requires]\nx = 'apscheduler'\n", "Pipfile") == (
        "[packages]\nrota = '*'\n[requires]\nx = 'apscheduler'\n"
    )
    conda = "dependencies:\n  - apscheduler=3.10\n  - pip:\n    - apscheduler>=3\n  - x\n"
    assert change(conda, "environment.yml") == conda.replace("    - apscheduler>=3", "    - rota")
    assert "conda does not have Rota" in said(conda, "environment.yml")[0][1]
    for name in ("poetry.lock", "uv.lock", "Pipfile.lock"):
        assert "make it anew" in said("apscheduler", name)[0][1]


def test_files_that_install_or_show_programs_are_told_and_left():
    text = "FROM python\nRUN pip install flask APScheduler==3.10\nENV NAME=apscheduler\nRUN python -c 'import apscheduler'\n"
    same(text, "Dockerfile")
    assert [line for line, _ in said(text, "Dockerfile")] == [2, 4]
    assert [line for line, _ in said(text, "Dockerfile", "left")] == [3]
    notebook = '{"source": ["from apscheduler.schedulers.background import BackgroundScheduler\\n"]}'
    same(notebook, "jobs.ipynb")
    assert "by hand" in said(notebook, "jobs.ipynb")[0][1]


# -- settings ------------------------------------------------------------------------------------------------------


def test_ini_files_are_changed_in_options_references_and_loggers():
    before = """
        # apscheduler.jobstores.default
        [app:main]
        apscheduler.jobstores.default.type = sqlalchemy
        apscheduler.jobstores.default.url = postgresql://apscheduler@db/apscheduler.events
        apscheduler.executors.default.class = apscheduler.executors.pool:ThreadPoolExecutor ; apscheduler.events
        database = apscheduler
        file = apscheduler.log
        text = about apscheduler.events here
        [loggers]
        keys = root, apscheduler
        [logger_apscheduler]
        qualname = apscheduler
        [logger_two]
        qualname=apscheduler.scheduler
        [mypy-apscheduler.*]
        """
    after = """
        # apscheduler.jobstores.default
        [app:main]
        rota.jobstores.default.type = sqlalchemy
        rota.jobstores.default.url = postgresql://apscheduler@db/apscheduler.events
        rota.executors.default.class = rota.executors.pool:ThreadPoolExecutor ; apscheduler.events
        database = apscheduler
        file = apscheduler.log
        text = about apscheduler.events here
        [loggers]
        keys = root, apscheduler
        [logger_apscheduler]
        qualname = rota
        [logger_two]
        qualname=rota.scheduler
        [mypy-rota.*]
        """
    assert change(before, "app.ini") == dedent(after)


def test_yaml_json_and_env_files_are_changed_in_references_and_loggers():
    before = """
        logging:
          loggers:
            apscheduler:  # apscheduler
              level: INFO
            "apscheduler.executors.default": {level: INFO}
            other:
              apscheduler: x
        apscheduler:
          name: apscheduler
        class: apscheduler.jobstores.redis:RedisJobStore
        list:
          - apscheduler.events
        text: about apscheduler.events here
        key: apscheduler.jobs
        """
    after = before.replace("            apscheduler:  #", "            rota:  #")
    after = after.replace('"apscheduler.', '"rota.').replace("class: apscheduler", "class: rota")
    after = after.replace("- apscheduler", "- rota")
    assert change(before, "x.yaml") == dedent(after)
    before = (
        '{"loggers": {"apscheduler": {"apscheduler": 1}, "x": {}}, "apscheduler": ["apscheduler.events"]}\n'
    )
    after = '{"loggers": {"rota": {"apscheduler": 1}, "x": {}}, "apscheduler": ["rota.events"]}\n'
    assert change(before, "x.json") == after
    for name, text in (
        ("x.yml", "levels:\n  apscheduler: warning\n"),
        ("x.toml", "[levels]\napscheduler = 'INFO'\n"),
    ):
        assert change(text, name) == text.replace("apscheduler", "rota")
    assert change("export STORE=apscheduler.jobstores.memory:MemoryJobStore\nDB=apscheduler\n", ".env") == (
        "export STORE=rota.jobstores.memory:MemoryJobStore\nDB=apscheduler\n"
    )


# -- everything else stays, byte for byte --------------------------------------------------------------------------


@pytest.mark.parametrize(
    "data",
    [
        b"\xef\xbb\xbfimport apscheduler.events\r\n\x0c\r\nx = 'apscheduler.job' # \xc3\xa9\r\n",
        b"# -*- coding: latin-1 -*-\nx = '\xe9'; import apscheduler.events as e # \xff\n",
        b"\xc3\xa9 = '\xe2\x82\xac'; import apscheduler.events as e\rfrom apscheduler.job import Job\r",
        b"def f():\n\x0c    import apscheduler.events as e\n\n\n",
        b"x = '''\n\x0c\x0b\xe2\x80\xa8'''; y = 'apscheduler.events'",
        b"import apscheduler.events as e;x=f'{1}{\"apscheduler.events\"}'  \t\n",
        b"#!/usr/bin/env python\n# coding: cp1252\nfrom apscheduler import job \xa0# \x80\n".replace(
            b" \xa0", b" "
        ),
    ],
)
def test_marks_encodings_ends_of_lines_and_blanks_stay(data):
    result = migrated("program.py", data)
    assert result.edits, result.remarks
    for module in (b"events", b"job"):
        data = data.replace(b"apscheduler." + module, b"rota." + module).replace(
            b"apscheduler import", b"rota import"
        )
    assert result.data.replace(b"apscheduler.events", b"rota.events") == data
    compile(result.data, "program.py", "exec")


# -- paths, ends of lines and encodings of other systems -----------------------------------------------------------

PATHS = [PurePosixPath, PureWindowsPath]


@pytest.mark.parametrize("system", PATHS)
@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("app/program.py", "import apscheduler.events as e\n"),
        ("App/PROGRAM.PY", "import apscheduler.events as e\n"),
        ("requirements/dev.txt", "apscheduler\n"),
        ("Requirements/Dev.TXT", "apscheduler\n"),
        ("conf/Logging.INI", "x = apscheduler.events\n"),
        ("SETUP.CFG", "[options]\ninstall_requires =\n    apscheduler\n"),
        ("conf/.env.local", "A=apscheduler.events\n"),
    ],
)
def test_what_a_file_is_is_told_by_its_path_on_every_system_and_in_any_case(system, name, text):
    path = system(name)
    for changed in (path, system("/srv", path), PureWindowsPath("C:\\srv", *path.parts)):
        result = migrated(changed, text.encode())
        assert result.edits, changed
        assert b"apscheduler" not in result.data


@pytest.mark.parametrize(
    ("path", "shown"),
    [
        (PurePosixPath("app/jobs.py"), "app/jobs.py"),
        (PurePosixPath("/srv/app/jobs.py"), "srv/app/jobs.py"),
        (PurePosixPath("../jobs.py"), "../jobs.py"),
        (PureWindowsPath("app\\jobs.py"), "app/jobs.py"),
        (PureWindowsPath("C:\\srv\\jobs.py"), "srv/jobs.py"),
        (PureWindowsPath("C:jobs.py"), "jobs.py"),
        (PureWindowsPath("\\\\server\\share\\app\\jobs.py"), "app/jobs.py"),
    ],
)
def test_a_diff_names_files_with_slashes_and_without_a_drive(path, shown):
    before = "import apscheduler.events as e\n"
    text = diff(path, migrated(path, before.encode()))
    assert (
        text
        == f"--- a/{shown}\n+++ b/{shown}\n@@ -1 +1 @@\n-import apscheduler.events as e\n+import rota.events as e"
    )


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_a_diff_shows_each_line_once_whatever_ends_it_and_says_if_nothing_ends_the_last(end):
    lines = ["x = 1", "import apscheduler.events as e", "y = 2"]
    whole = diff(PurePosixPath("a.py"), migrated("a.py", (end.join(lines) + end).encode()))
    assert whole.split("\n")[3:] == [
        " x = 1",
        "-import apscheduler.events as e",
        "+import rota.events as e",
        " y = 2",
    ]
    open_end = diff(PurePosixPath("a.py"), migrated("a.py", end.join(lines[:2]).encode()))
    mark = "\\ No newline at end of file"
    assert open_end.split("\n")[3:] == [
        " x = 1", "-import apscheduler.events as e", mark, "+import rota.events as e", mark,
    ]  # fmt: skip


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be", "utf-8"])
@pytest.mark.parametrize("end", ["\r\n", "\n", ""])
def test_a_file_that_powershell_has_written_stays_in_its_encoding(encoding, end):
    def encoded(text):
        return "\ufeff".encode(encoding) + text.encode(encoding)

    result = migrated("requirements.txt", encoded(f"é==1\r\nAPScheduler==3.10.4{end}"))
    assert result.data == encoded(f"é==1\r\nrota{end}")
    assert migrated("requirements.txt", result.data).edits == []
    assert "-APScheduler==3.10.4" in diff(PurePosixPath("requirements.txt"), result)


def test_a_file_in_a_code_page_of_windows_is_left_and_told():
    result = migrated("logging.ini", "; caf\xe9\r\nx = apscheduler.events\r\n".encode("cp1252"))
    assert result.edits == []
    (remark,) = result.remarks
    assert remark.kind == "look"
    assert "it was left as it is" in remark.text


@pytest.mark.parametrize("name", ["run.bat", "RUN.CMD", "install.ps1", "run.sh", "Dockerfile.dev"])
def test_files_that_start_programs_are_told(name):
    text = "@echo off\r\npip install apscheduler\r\npython -m apscheduler_app\r\n"
    assert said(text, name) == [(2, "change this by hand: pip install apscheduler")]


@pytest.mark.parametrize(
    "name", [".git", ".GIT", "Node_Modules", "site-packages", "Site-Packages", ".Ruff_Cache", "x.egg-info"]
)
def test_folders_of_others_are_passed_over_in_any_case(name):
    assert is_passed_over(name)
    assert not is_passed_over(f"my{name}s")


def test_paths_that_lead_to_one_file_are_one_unless_it_has_several_links():
    def found(device, inode, links):
        return os.stat_result((0, inode, device, links, 0, 0, 0, 0, 0, 0))

    assert identity("/a/App.py", found(1, 5, 1)) == identity("/a/app.py", found(1, 5, 1))
    assert identity("/a/x.py", found(1, 5, 1)) != identity("/a/x.py", found(2, 5, 1))
    assert identity("/a/x.py", found(1, 5, 2)) != identity("/a/y.py", found(1, 5, 2))
    assert identity("C:\\x.py", found(0, 0, 1)) != identity("C:\\y.py", found(0, 0, 1)), (
        "a system without numbers"
    )


@pytest.mark.parametrize(
    ("source", "command"),
    [
        ("sqlite:///jobs.sqlite", "sqlite:///jobs.sqlite --to sqlite:///jobs.sqlite"),
        ("sqlite:///C:\\my jobs\\j.db", '"sqlite:///C:\\my jobs\\j.db" --to "sqlite:///C:\\my jobs\\j.db"'),
        ("postgresql://db/x?a=1&b=2", '"postgresql://db/x?a=1&b=2" --to "postgresql://db/x?a=1&b=2"'),
        ("etcds://h:1/apscheduler", "etcds://h:1/apscheduler --to etcds://h:1/rota"),
        ("C:\\jobs.json", '"C:\\jobs.json" --to URL'),
    ],
)
def test_the_command_that_is_told_is_one_for_the_shells_of_all_systems(source, command):
    assert by_import(source) == f"rota import apscheduler {command}"


def test_a_drive_is_no_scheme_of_a_url():
    for source in ("C:\\no\\jobs.json", "C:/no/jobs.json", "c://no/jobs.json"):
        with pytest.raises(StoreError, match="neither a file nor a URL"):
            read_source(source)


PIECES = st.sampled_from(
    [
        "apscheduler", "apscheduler.events", "rota", "import ", "from ", " import events", " as e", "\n", "\r\n", "\r", "    ",
        "\t", "\x0c", "'", '"', "'''", "f'", "{", "}", "(", ")", "[", "]", ":", "=", ", ", ".", "#", "\\\n", "\\", "def f(",
        "class C", "logging.getLogger(", "x", "é", "€", "global ", "lambda ", "if x", "pass", "1", "loggers", "dependencies",
        "==3.10", "-",
    ]
)  # fmt: skip
NAMES = st.sampled_from(
    [
        "a.py", "a.pyi", "b.ini", "c.toml", "pyproject.toml", "setup.cfg", "d.yaml", "environment.yml", "e.json", ".env",
        "requirements.txt", "Pipfile", "x.sh",
    ]
)  # fmt: skip


@given(NAMES, st.lists(PIECES, max_size=30).map("".join))
def test_whatever_is_in_a_file_only_the_word_is_changed_and_the_second_time_nothing(name, text):
    data = text.encode()
    first = migrated(name, data)
    at, rebuilt = 0, ""
    for edit in first.edits:
        assert edit.start >= at, "edits overlap"
        assert text[edit.start : edit.end].lower().startswith("apscheduler")
        rebuilt += text[at : edit.start] + edit.text
        at = edit.end
    assert (rebuilt + text[at:]).encode() == first.data
    if name.endswith(".py") and first.edits:
        ast.parse(first.data.decode())
    assert migrated(name, first.data).data == first.data


STATEMENTS = st.sampled_from(
    [
        "import apscheduler", "import apscheduler.events", "import apscheduler as a", "from apscheduler import events",
        "apscheduler = None", "apscheduler = 1", "rota = 1", "print(apscheduler)", "x = [apscheduler for y in apscheduler.events]",
        "def f(apscheduler): return apscheduler", "def g():\n    global apscheduler\n    return apscheduler.events",
        "class C:\n    apscheduler = apscheduler\n    def h(self): return apscheduler", "x = 'apscheduler.events'",
        "x = f'apscheduler.executors.{x}'", "try:\n    import apscheduler.job\nexcept ImportError as apscheduler:\n    pass",
        "x = lambda apscheduler=apscheduler: apscheduler", "del apscheduler", "with x as apscheduler: apscheduler",
    ]
)  # fmt: skip


@given(st.lists(STATEMENTS, max_size=8).map("\n".join))
def test_a_program_of_statements_means_the_same_with_the_other_name(text):
    result = migrated("program.py", text.encode())
    changed = result.data.decode()
    # What binds and uses the package's name has one name in the whole of a scope: put back, the tree is the first one.
    if not result.edits:
        assert changed == text
        return
    back = ast.dump(ast.parse(changed)).replace("'rota'", "'apscheduler'").replace("'rota.", "'apscheduler.")
    back = back.replace("alias(name='apscheduler', asname='apscheduler')", "alias(name='apscheduler')")
    before = ast.dump(ast.parse(text)).replace("'rota'", "'apscheduler'")
    assert back == before
