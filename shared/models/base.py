"""The declarative base: how Python types map to columns."""

from datetime import datetime
from typing import Any, ClassVar

from sqlalchemy import BigInteger, DateTime, MetaData, Text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import DeclarativeBase


class Base(DeclarativeBase):
    """All tables. `int` is bigint, `str` is text, instants carry their zone."""

    metadata = MetaData(naming_convention={"ix": "%(table_name)s_%(column_0_N_name)s_idx"})

    type_annotation_map: ClassVar[dict[Any, Any]] = {
        int: BigInteger,
        str: Text,
        datetime: DateTime(timezone=True),
        dict[str, Any]: JSONB,
    }
