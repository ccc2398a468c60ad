"""Currency codes: those in use, and no others."""

from shared.domain.currencies import CURRENCIES


def test_are_those_that_tickets_are_paid_in():
    assert {"EUR", "USD", "GBP", "JPY", "CHF", "INR", "XOF"} <= CURRENCIES
    assert all(len(code) == 3 and code.isupper() and code.isascii() for code in CURRENCIES)


def test_are_no_metals_funds_or_test_codes():
    assert not CURRENCIES & {"XAU", "XAG", "XTS", "XXX", "XDR", "CHE", "UYI", "DEM"}
