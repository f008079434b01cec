"""The eight fields of a cron trigger: which expressions each understands, and its values.

Pure. A field is read whole: what no expression understands is refused, with the field, the item and the column.
"""

from __future__ import annotations

from ...errors import CronError, TriggerError
from .expressions import (
    LONGEST_TEXT,
    MAX_VALUES,
    MIN_VALUES,
    AllExpression,
    BeforeLastDayExpression,
    Expression,
    LastDayOfMonthExpression,
    LastWeekdayExpression,
    MonthRangeExpression,
    NearestWorkdayExpression,
    RangeExpression,
    WeekdayNumberExpression,
    WeekdayOccurrenceExpression,
    WeekdayPositionExpression,
    WeekdayRangeExpression,
    shown,
)

__all__ = (
    "DEFAULT_VALUES",
    "MAX_VALUES",
    "MIN_VALUES",
    "BaseField",
    "DayOfMonthField",
    "DayOfWeekField",
    "MonthField",
    "WeekField",
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

DEFAULT_VALUES = {
    "year": "*",
    "month": 1,
    "day": 1,
    "week": "*",
    "day_of_week": "*",
    "hour": 0,
    "minute": 0,
    "second": 0,
}


_ALL = AllExpression()


class BaseField:
    """A field and its expressions.

    :param name: the keyword of the field
    :param exprs: its text (or an int): a comma list of expressions, blanks around commas allowed
    :param is_default: whether the text was not given but taken by default
    :param extended: whether the crontab extensions are understood, and steps larger than the field allowed
    :param at: the column at which the text begins, for messages
    :raises CronError: if the text is not understood to its end
    """

    #: the expressions that the keyword interface understands
    COMPILERS: list[type[Expression]] = [AllExpression, RangeExpression]
    #: those that only crontab strings have
    EXTENDED: list[type[Expression]] = []

    def __init__(
        self, name: str, exprs: Any, is_default: bool = False, extended: bool = False, at: int = 1
    ) -> None:
        self.name = name
        self.is_default = is_default
        text = str(exprs)
        if text == "*" and AllExpression in self.COMPILERS:
            self.expressions: list[Expression] = [_ALL]
            return
        self.expressions = []
        if len(text) > LONGEST_TEXT:
            raise self._error(f"The text has {len(text)} characters; {LONGEST_TEXT} is the most", text, at)
        column = at
        for item in text.split(","):
            stripped = item.strip()
            self.expressions.append(
                self._expression(stripped, column + len(item) - len(item.lstrip()), extended)
            )
            column += len(item) + 1

    def _expression(self, item: str, column: int, extended: bool) -> Expression:
        for kind in (*self.EXTENDED, *self.COMPILERS) if extended else self.COMPILERS:
            found = kind.value_re.fullmatch(item)
            if found is None:
                continue
            try:
                expression: Expression = kind(**found.groupdict())
            except TriggerError as exc:
                raise self._error(str(exc), item, column) from None
            try:
                if extended:
                    expression.validate_values(self.name)
                else:
                    expression.validate_range(self.name)
            except TriggerError as exc:
                raise self._error(f"Error validating expression {shown(item)}: {exc}", item, column) from None
            return expression
        raise CronError(
            f'Unrecognized expression "{item[:60]}" for field "{self.name}" (column {column})',
            field=self.name,
            item=item,
            column=column,
        )

    def _error(self, message: str, item: str, column: int) -> CronError:
        if len(message) > 300:  # a number of a thousand digits
            message = f"{message[:200]}…"
        return CronError(
            f'{message} (field "{self.name}", item {shown(item)}, column {column})',
            field=self.name,
            item=item,
            column=column,
        )

    def mask(self) -> int:
        """Return the mask of the values that match in every month."""
        try:
            return self._mask
        except AttributeError:
            found = 0
            for expression in self.expressions:
                found |= expression.mask(self.name)
            self._mask: int = found
            return found

    def days(self, length: int, first_weekday: int) -> int:
        """Return the mask of the days that match in a month because of its length and first weekday."""
        result = 0
        for expression in self.expressions:
            result |= expression.days(length, first_weekday)
        return result

    def begins_with_star(self) -> bool:
        """Tell whether the text begins with ``*``."""
        return type(self.expressions[0]) is AllExpression

    def __getstate__(self) -> dict[str, Any]:
        return {"name": self.name, "is_default": self.is_default, "expressions": self.expressions}

    def __eq__(self, other: object) -> bool:
        return isinstance(other, BaseField) and (self.name, self.expressions) == (
            other.name,
            other.expressions,
        )

    def __hash__(self) -> int:
        return hash((self.name, str(self)))

    def __str__(self) -> str:
        return ",".join(str(expression) for expression in self.expressions)

    def __repr__(self) -> str:
        return f"{type(self).__name__}('{self.name}', '{self}')"


class WeekField(BaseField):
    """The ISO week of the year."""


class DayOfMonthField(BaseField):
    """The day of the month."""

    COMPILERS = [*BaseField.COMPILERS, WeekdayPositionExpression, LastDayOfMonthExpression]
    EXTENDED = [BeforeLastDayExpression, NearestWorkdayExpression]


class DayOfWeekField(BaseField):
    """The day of the week, 0 = Monday."""

    COMPILERS = [AllExpression, WeekdayNumberExpression, WeekdayRangeExpression]
    EXTENDED = [WeekdayOccurrenceExpression, LastWeekdayExpression]


class MonthField(BaseField):
    """The month."""

    COMPILERS = [*BaseField.COMPILERS, MonthRangeExpression]


#: The class of each field by its keyword.
FIELDS_MAP: dict[str, type[BaseField]] = {
    "year": BaseField,
    "month": MonthField,
    "week": WeekField,
    "day": DayOfMonthField,
    "day_of_week": DayOfWeekField,
    "hour": BaseField,
    "minute": BaseField,
    "second": BaseField,
}
