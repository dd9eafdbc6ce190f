"""Tables in Markdown, from the same rows as in the JSON."""


def table(columns: dict[str, str], rows: list[dict]) -> str:
    """columns: key -> heading; the first is text, the others numbers. Missing values are a dash."""

    def cell(value) -> str:
        return "-" if value is None else f"{value:.4g}" if isinstance(value, float) else str(value)

    lines = ["| " + " | ".join(columns.values()) + " |", "|" + " --- |" * len(columns)]
    lines += ["| " + " | ".join(cell(row.get(key)) for key in columns) + " |" for row in rows]
    return "\n".join(lines)
