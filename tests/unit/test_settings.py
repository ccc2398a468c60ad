"""The environment becomes settings, or a message that names the variable."""

import pytest

from shared.settings import Settings, SettingsError, load_settings


class TestDefaults:
    def test_an_empty_environment_gives_them_all(self) -> None:
        assert load_settings({}) == Settings()

    def test_an_empty_variable_counts_as_absent(self) -> None:
        assert load_settings({"PORT": "", "GUICHET_BATCH_MAX": ""}) == Settings()

    def test_variables_of_others_are_not_read(self) -> None:
        assert load_settings({"BATCH_MAX": "7", "GUICHET_NONSENSE": "1"}) == Settings()


class TestValues:
    @pytest.mark.parametrize(
        ("variable", "raw", "field", "value"),
        [
            ("GUICHET_BATCH_MAX", "50", "batch_max", 50),
            ("GUICHET_BOOKING_RATE_PER_SECOND", "0.5", "booking_rate_per_second", 0.5),
            ("GUICHET_SOLD_OUT_DOOR", "Off", "sold_out_door", False),
            ("GUICHET_DURABILITY", "relaxed", "durability", "relaxed"),
            ("GUICHET_TRUSTED_PROXY_HOPS", "0", "trusted_proxy_hops", 0),
            ("PORT", "0", "port", 0),
            ("GUICHET_BASE_URL", "https://tickets.example.org/", "base_url", "https://tickets.example.org"),
            (
                "REDIS_URL",
                "rediss://cache.example.org:6380/0",
                "redis_url",
                "rediss://cache.example.org:6380/0",
            ),
        ],
    )
    def test_is_parsed(self, variable: str, raw: str, field: str, value: object) -> None:
        assert getattr(load_settings({variable: raw}), field) == value

    @pytest.mark.parametrize("scheme", ["postgres", "postgresql"])
    def test_addresses_as_hosting_platforms_write_them_work(self, scheme: str) -> None:
        url = load_settings({"DATABASE_URL": f"{scheme}://u:p@db.example.org:5432/guichet"}).database_url
        assert url == "postgresql+psycopg2://u:p@db.example.org:5432/guichet"

    @pytest.mark.parametrize(
        ("variable", "raw"),
        [
            ("GUICHET_BATCH_MAX", "many"),
            ("GUICHET_BATCH_MAX", "0"),
            ("GUICHET_BATCH_MAX", "-1"),
            ("GUICHET_BATCH_MAX", "1.5"),
            ("GUICHET_TRUSTED_PROXY_HOPS", "-1"),
            ("GUICHET_SOLD_OUT_DOOR", "perhaps"),
            ("GUICHET_LOG_LEVEL", "LOUD"),
            ("GUICHET_ENV", "staging"),
            ("GUICHET_DURABILITY", "none"),
        ],
    )
    def test_nonsense_is_refused_by_name(self, variable: str, raw: str) -> None:
        with pytest.raises(SettingsError, match=variable):
            load_settings({variable: raw})
