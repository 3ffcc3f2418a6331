"""Where and with which settings it was measured."""

from jaxgen.parity.report.elements import code, element
from jaxgen.parity.report.tables import row, table


def section(data):
    parts = [part for part in (environment(data.get("environment")), precision(data.get("precision"))) if part]
    return element("section", element("h2", "Environment"), parts, id="environment") if parts else None


def environment(found):
    columns = ("what", "value")
    rows = [row(columns, name, value) for name, value in (found or {}).items()]
    return table("versions and device", columns, rows, "grid facts") if rows else None


def precision(found):
    columns = ("setting", "side", "value")
    flags = [(name, side, value) for side, settings in (found or {}).items() for name, value in settings.items()]
    rows = [row(columns, code(name), side, value) for name, side, value in flags]
    return table("settings of precision", columns, rows, "grid facts") if rows else None
