"""Production starts with secrets that nobody can guess, and says what is wrong with others without repeating them."""

import secrets
import uuid
from typing import Any

import pytest

from shared.settings import SettingsError, load_settings

PASSWORD = "lOw.tide-77-anchor"


def production(**changes: str) -> dict[str, str]:
    return {"GUICHET_ENV": "production", "GUICHET_SECRET_KEY": secrets.token_urlsafe(48), **changes}


def refusal(**changes: str) -> str:
    """What `load_settings` complains about, which must not show any of the values."""
    with pytest.raises(SettingsError) as caught:
        load_settings(production(**changes))
    message = str(caught.value)
    assert not any(value in message for name, value in changes.items() if value and name != "GUICHET_ENV")
    assert PASSWORD not in message
    return message


class TestTheSigningKey:
    @pytest.mark.parametrize(
        "secret",
        [
            "",
            "zq9-Vw3kLm7_Xc2R",
            "replace-me-with-32-or-more-random-bytes",
            "a-secret-of-at-least-thirty-two-bytes",
            "zq9-Vw3kLm7_Xc2Rt5yUo8pNa1sDf4gH",
            "abcabcabcabcabcabcabcabcabcabcabcabc",
            "Xk4Xk4Xk4Xk4Xk4Xk4Xk4Xk4Xk4Xk4Xk4Xk4",
            "qzJ7qzJ7zqJJ77qzqzzJ7J7qJ7zqzJ7qJqz7",
            "changemechangemechangeme1234changeme",
            "MySuperSecretKeyForTheTicketShop2024",
            "Production-Key-Of-Our-Ticket-Shop-01",
            "thequickbrownfoxjumpsoverthelazydog",
            "To be or not to be that is the question 2B",
            "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789",
            "31415926535897932384626433832795028841",
        ],
    )
    def test_is_refused_when_it_is_weak(self, secret: str) -> None:
        assert "GUICHET_SECRET_KEY" in refusal(GUICHET_SECRET_KEY=secret)

    @pytest.mark.parametrize(
        "secret",
        [
            secrets.token_urlsafe(48),
            secrets.token_hex(32),
            str(uuid.UUID("3b8e21d4-9c57-4f60-a1e3-d72b085fc946")),
            "vUu0Zc\\9Lp$e;Rt/W}4gT{m>Qx!a&7jHs",
        ],
        ids=["base64", "hexadecimal", "a UUID", "a password manager's"],
    )
    def test_is_taken_when_it_is_random(self, secret: str) -> None:
        assert load_settings(production(GUICHET_SECRET_KEY=secret)).is_production

    def test_says_how_to_make_one(self) -> None:
        assert "openssl rand" in refusal(GUICHET_SECRET_KEY="short")

    def test_is_nobodys_business_in_development(self) -> None:
        assert not load_settings({"GUICHET_SECRET_KEY": "short"}).is_production


class TestOtherSecrets:
    @pytest.mark.parametrize("token", ["scrape", "changeme-changeme", "aaaaaaaaaaaaaaaaaaaa"])
    def test_a_weak_metrics_token_is_refused(self, token: str) -> None:
        assert "GUICHET_METRICS_TOKEN" in refusal(GUICHET_METRICS_TOKEN=token)

    @pytest.mark.parametrize(
        "credentials",
        [
            "guichet:guichet",
            "postgres:postgres",
            "guichet:",
            "shop:MySecretPassword",
            "u:hunter2",
            "u:u-u-u-u-u-u",
        ],
    )
    def test_a_database_on_the_network_needs_a_password_that_is_not_tried_first(
        self, credentials: str
    ) -> None:
        url = f"postgresql://{credentials}@db.internal:5432/tickets"
        assert "DATABASE_URL" in refusal(DATABASE_URL=url)

    def test_its_name_and_its_hosts_name_are_no_passwords(self) -> None:
        assert "DATABASE_URL" in refusal(DATABASE_URL="postgresql://u:ticketshop@db/ticketshop")
        assert "REDIS_URL" in refusal(REDIS_URL="redis://:cache-one@cache-one:6379/0")

    @pytest.mark.parametrize(
        "variables",
        [
            {"DATABASE_URL": f"postgresql://guichet_app:{PASSWORD}@db/guichet"},
            {"DATABASE_URL": "postgresql://guichet_app@db/guichet"},
            {"DATABASE_URL": "postgresql://guichet_app:postgres@/guichet?host=/run/postgresql"},
            {"REDIS_URL": "redis://redis:6379/0"},
            {"REDIS_URL": "unix:///run/redis.sock?db=0"},
            {"REDIS_URL": f"rediss://default:{PASSWORD}@cache:6379/0"},
        ],
        ids=["a good one", "in a file or a certificate", "a socket", "a private Redis", "its socket", "TLS"],
    )
    def test_what_stands_elsewhere_or_in_private_is_left_alone(self, variables: dict[str, str]) -> None:
        assert load_settings(production(**variables)).is_production

    def test_each_has_its_own(self) -> None:
        same = secrets.token_urlsafe(40)
        message = refusal(GUICHET_SECRET_KEY=same, GUICHET_METRICS_TOKEN=same)
        assert "GUICHET_SECRET_KEY and GUICHET_METRICS_TOKEN" in message
        message = refusal(
            DATABASE_URL=f"postgresql://a:{PASSWORD}@db/guichet", REDIS_URL=f"redis://:{PASSWORD}@cache/0"
        )
        assert "DATABASE_URL and REDIS_URL" in message


class TestAddresses:
    """A client that cannot read an address repeats it, or half of the password, in its complaint."""

    @pytest.mark.parametrize(
        ("variable", "url"),
        [
            ("DATABASE_URL", f"postgresql://u:{PASSWORD}/x@db/guichet"),
            ("DATABASE_URL", f"postgresql://u:{PASSWORD}@x@db/guichet"),
            ("DATABASE_URL", f"postgresql://u:{PASSWORD}#x@db/guichet"),
            ("DATABASE_URL", f"postgresql://u:{PASSWORD}?x@db/guichet"),
            ("DATABASE_URL", f"postgresql://u:12/{PASSWORD}@db/guichet"),
            ("DATABASE_URL", f"postgresql://u:{PASSWORD}%zz@db/guichet"),
            ("DATABASE_URL", f"postgresql://u:{PASSWORD}[@db/guichet"),
            ("DATABASE_URL", f"postgresql://u:{PASSWORD} x@db/guichet"),
            ("DATABASE_URL", f"mysql://u:{PASSWORD}@db/guichet"),
            ("DATABASE_URL", f"u:{PASSWORD}@db/guichet"),
            ("REDIS_URL", f"redis://:{PASSWORD}/x@cache:6379/0"),
            ("REDIS_URL", f"http://:{PASSWORD}@cache:6379/0"),
            ("REDIS_URL", f"redis://:{PASSWORD}@cache:port/0"),
        ],
    )
    @pytest.mark.parametrize("mode", ["production", "development"])
    def test_that_clients_do_not_read_alike_are_refused_and_not_shown(
        self, variable: str, url: str, mode: str
    ) -> None:
        assert variable in refusal(**{variable: url, "GUICHET_ENV": mode})

    def test_percent_encoding_helps(self) -> None:
        load_settings(
            production(DATABASE_URL="postgresql://u:low%2Ftide%4077%23anchor@db:5432/guichet?sslmode=require")
        )


class TestMisspelling:
    @pytest.mark.parametrize(
        "variables",
        [
            {"GUICHET_ENV": "Production"},
            {"GUICHET_ENV": "prod"},
            {"GUICHET_ENV": "production "},
            {"GUICHET_ENVIRONMENT": "production"},
            {"GUICHET_MODE": "production"},
            {"guichet_env": "production"},
            {"GUICHETENV": "production"},
            {"GUICHET_ENVV": "production"},
        ],
    )
    def test_of_production_is_never_a_development(self, variables: dict[str, str]) -> None:
        with pytest.raises(SettingsError, match="GUICHET_ENV"):
            load_settings(variables)

    @pytest.mark.parametrize(
        ("name", "meant"),
        [("GUICHET_SECRET_KYE", "GUICHET_SECRET_KEY"), ("GUICHET_METRIC_TOKEN", "GUICHET_METRICS_TOKEN")],
    )
    def test_of_a_setting_is_named(self, name: str, meant: str) -> None:
        with pytest.raises(SettingsError, match=f"{name} .*{meant}") as caught:
            load_settings({name: PASSWORD})
        assert PASSWORD not in str(caught.value)

    def test_what_a_cluster_says_of_a_service_of_that_name_is_none(self) -> None:
        names = ("GUICHET_SERVICE_HOST", "GUICHET_SERVICE_PORT", "GUICHET_PORT", "GUICHET_PORT_8000_TCP_ADDR")
        load_settings(dict.fromkeys(names, "tcp://10.0.0.7:8000"))


class TestDebugging:
    @pytest.mark.parametrize("value", ["1", "true", "yes"])
    def test_is_refused_in_production(self, value: str) -> None:
        with pytest.raises(SettingsError, match="FLASK_DEBUG"):
            load_settings(production(FLASK_DEBUG=value))

    @pytest.mark.parametrize("value", ["", "0", "False"])
    def test_may_be_switched_off(self, value: str) -> None:
        load_settings(production(FLASK_DEBUG=value))

    def test_is_everybodys_own_business_elsewhere(self) -> None:
        environ: dict[str, Any] = {"FLASK_DEBUG": "1"}
        load_settings(environ)
