"""Settings: every problem at once, named with its fix, and no secret in sight."""

from __future__ import annotations

import ipaddress
from pathlib import Path

import pytest

from revenue_engine.config import (
    ROLES,
    Settings,
    load_settings,
    near_misses,
    settings_page,
    settings_table,
    sqlalchemy_url,
)
from revenue_engine.errors import ConfigurationError

ROOT = Path(__file__).parents[1]


def test_nothing_needs_to_be_set() -> None:
    settings = load_settings()
    assert settings.state_dir == (Path.cwd() / "var").resolve()
    assert settings.database_url is None
    assert settings.redis_url is None
    assert (settings.api_port, settings.intake_port, settings.county) == (8800, 8801, "busia")
    assert [settings.role_url(role) for role in ROLES] == [None] * 6


def test_an_empty_variable_counts_as_not_set(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in Settings.model_fields:
        monkeypatch.setenv(f"REVENUE_{name.upper()}", "")
    assert load_settings() == Settings()


def test_values_are_read(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("REVENUE_SECRETS_DIR", str(tmp_path))
    monkeypatch.setenv("REVENUE_LOG_LEVEL", "WARNING")
    monkeypatch.setenv("REVENUE_INTAKE_TRUSTED_PROXIES", "10.0.0.5, 192.168.0.0/24,2001:db8::/32,")
    monkeypatch.setenv("REVENUE_WORKER_DATABASE_URL", "postgresql://w:p@db/revenue")
    settings = load_settings()
    assert settings.secrets_dir == tmp_path
    assert settings.log_level == "warning"
    assert settings.intake_trusted_proxies == tuple(
        ipaddress.ip_network(n) for n in ("10.0.0.5/32", "192.168.0.0/24", "2001:db8::/32")
    )
    assert settings.role_url("worker") == "postgresql://w:p@db/revenue"


@pytest.mark.parametrize(
    ("variable", "value", "wrong"),
    [
        ("REVENUE_API_PORT", "http", "whole number"),
        ("REVENUE_INTAKE_PORT", "70000", "65535"),
        ("REVENUE_INTAKE_BODY_LIMIT", "0", "1024"),
        ("REVENUE_WORKER_BATCH", "-1", "10000"),
        ("REVENUE_JOB_LEASE_SECONDS", "1", "3600"),
        ("REVENUE_COUNTY", "../etc", "busia"),
        ("REVENUE_LOG_LEVEL", "loud", "debug, info"),
        ("REVENUE_SECRETS_DIR", "/no/such/folder", "existing folder"),
        ("REVENUE_EMBEDDED_POSTGRES_BIN", "/", "holds no postgres"),
        ("REVENUE_INTAKE_TRUSTED_PROXIES", "10.0.0.1,proxy.local", "'proxy.local' is neither"),
        ("REVENUE_INTAKE_TRUSTED_PROXIES", "10.0.0.1/8", "'10.0.0.1/8' is neither"),
        ("REVENUE_DATABASE_URL", "mysql://u:hunter2@h/d", "postgresql://"),
        ("REVENUE_DATABASE_URL", "hunter2", "no scheme"),
        ("REVENUE_DATABASE_URL", "postgresql://u:hunter2@h", "names no database"),
        ("REVENUE_API_DATABASE_URL", "postgresql://u:hunter2@h:port/d", "cannot|can be read"),
        ("REVENUE_REDIS_URL", "http://h:hunter2@x/0", "redis://"),
        ("REVENUE_REDIS_URL", "unix://", "names no socket"),
    ],
)
def test_a_bad_value_names_its_variable_and_the_fix(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str, wrong: str
) -> None:
    monkeypatch.setenv(variable, value)
    with pytest.raises(ConfigurationError, match=wrong) as caught:
        load_settings()
    assert caught.value.facts["variables"] == [variable]
    assert caught.value.message.startswith(variable)
    assert "fix: " in caught.value.message
    assert "hunter2" not in str(caught.value.as_dict())
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__ or caught.value.__context__ is None


def test_all_problems_come_in_one_message(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REVENUE_API_PORT", "x")
    monkeypatch.setenv("REVENUE_REDIS_URL", "x")
    with pytest.raises(ConfigurationError) as caught:
        load_settings()
    assert sorted(caught.value.facts["variables"]) == ["REVENUE_API_PORT", "REVENUE_REDIS_URL"]
    assert len(caught.value.facts["problems"]) == 2


def test_secrets_do_not_show(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REVENUE_DATABASE_URL", "postgresql://u:hunter2@h/d")
    monkeypatch.setenv("REVENUE_REDIS_URL", "redis://:hunter2@h/0")
    settings = load_settings()
    assert "hunter2" not in repr(settings) + str(settings) + settings.model_dump_json()


def test_the_driver_is_named_for_sqlalchemy() -> None:
    assert sqlalchemy_url("postgresql://u:p@h/d") == "postgresql+psycopg://u:p@h/d"
    assert sqlalchemy_url("postgresql+psycopg://u:p@h/d") == "postgresql+psycopg://u:p@h/d"


def test_near_misses() -> None:
    found = near_misses(
        {
            "REVENUE_DATABASE_URI": "postgresql://u:hunter2@h/d",
            "REVENUE_COLOUR_OF_MONEY": "red",
            "REVENUE_TEST_DATABASE_URL": "x",
            "REVENUE_API_PORT": "1",
            "revenue_api_host": "x",
            "PATH": "",
        }
    )
    assert found == [
        "REVENUE_COLOUR_OF_MONEY is not a setting and is not read",
        "REVENUE_DATABASE_URI is not a setting and is not read; did you mean REVENUE_DATABASE_URL?",
    ]


def test_the_settings_page_is_the_model() -> None:
    assert settings_table() in settings_page()
    assert (ROOT / "docs" / "settings.md").read_text() == settings_page(), (
        "run: python -m revenue_engine.config > docs/settings.md"
    )
