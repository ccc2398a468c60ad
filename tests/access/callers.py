"""Who calls: everybody whom an address may meet, in words for `table.py`."""

from enum import StrEnum
from typing import Final


class Who(StrEnum):
    """A caller. The event of the world belongs to an organization and is hosted by somebody outside of it."""

    NOBODY = "nobody"  # no token, no cookie
    STRANGER = "another attendee"  # has nothing to do with the thing
    OWNER = "its owner"  # an attendee: whose booking, request, place, offer, notification, account it is
    HOST = "its host"
    OTHER_HOST = "another host"  # with events, and an organization, of their own
    ORG_OWNER = "an owner of its organization"
    ORG_MEMBER = "a member of its organization"
    EX_MEMBER = "an ex-member"  # was one when the token was made
    ADMIN = "an admin"
    EX_ADMIN = "an ex-admin"  # the token still says admin, the database does not
    REVOKED = "who has logged out"
    CLOSED = "a closed account"  # its token would be good for minutes yet
    FORGED = "who wrote admin into their token"
    REFRESH = "a refresh token"
    STREAM = "the stream token of another job"
    CONSOLE = "the console's cookie"  # an admin's; no bearer
    EX_CONSOLE = "the cookie of an ex-admin"


Callers = frozenset[Who]

EVERYBODY: Final[Callers] = frozenset(Who)
# Show a bearer that does not count.
BAD_BEARERS: Final[Callers] = frozenset({Who.REVOKED, Who.CLOSED, Who.FORGED, Who.REFRESH, Who.STREAM})
COOKIES: Final[Callers] = frozenset({Who.CONSOLE, Who.EX_CONSOLE})
# Known by their access token.
KNOWN: Final[Callers] = EVERYBODY - BAD_BEARERS - COOKIES - {Who.NOBODY}
# A bearer is asked for only when there is one: a cookie is none.
UNSPOILT: Final[Callers] = EVERYBODY - BAD_BEARERS

ADMINS: Final[Callers] = frozenset({Who.ADMIN})
HOSTS: Final[Callers] = frozenset({Who.HOST, Who.OTHER_HOST, Who.ADMIN})  # by role
MEMBERS: Final[Callers] = frozenset({Who.ORG_OWNER, Who.ORG_MEMBER, Who.ADMIN})
RUNNERS: Final[Callers] = frozenset({Who.ORG_OWNER, Who.ADMIN})
MANAGERS: Final[Callers] = MEMBERS | {Who.HOST}
PARTIES: Final[Callers] = MANAGERS | {Who.OWNER}
OWNER_OR_ADMIN: Final[Callers] = frozenset({Who.OWNER, Who.ADMIN})
OWNER: Final[Callers] = frozenset({Who.OWNER})
CONSOLE: Final[Callers] = frozenset({Who.CONSOLE})
NONE: Final[Callers] = frozenset()
