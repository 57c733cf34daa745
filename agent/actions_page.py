"""The reference page of what commands can ask for, made from the argument models and the policy."""

from collections.abc import Iterator

from pydantic.fields import FieldInfo

from agent.settings_page import limits_of
from commands.policy import DEFAULT_POLICY, Policy
from contract.actions import ACTIONS, Arguments

_HEAD = """\
# Actions

What a command can ask for, with the arguments that both ends check, and who may order it. The rows
of the policy are defaults; `[commands.policy."ACTION"]` in the kiosk's settings file changes them.
Dates, signatures and the life of a command: [wire.md](wire.md). This page is made by
`kiosk-agent actions`.

| action | roles | signers | while a citizen is served | disruptive | time limit | at most |
|---|---|---|---|---|---|---|
"""
_SERVING = {"allow": "goes ahead", "wait": "waits", "refuse": "is refused"}


def render() -> str:
    """Return the page as Markdown."""
    rows = "".join(_row(name, DEFAULT_POLICY[name]) for name in sorted(ACTIONS))
    return _HEAD + rows + "".join(_section(name, model) for name, model in sorted(ACTIONS.items()))


def _row(name: str, policy: Policy) -> str:
    forced = "force" in ACTIONS[name].model_fields and policy.serving != "allow"
    cells = (
        f"[`{name}`](#{name.replace('.', '')})",
        ", ".join(sorted(policy.roles)),
        str(policy.signers),
        _SERVING[policy.serving] + (" (unless `force`)" if forced else ""),
        "yes" if policy.disruptive else "no",
        f"{policy.timeout_s:g} s",
        f"{policy.per_hour} an hour" if policy.per_hour else "-",
    )
    return f"| {' | '.join(cells)} |\n"


def _section(name: str, model: type[Arguments]) -> str:
    text = " ".join((model.__doc__ or "").split())
    body = "".join(_arguments(model))
    table = f"\n| argument | default | |\n|---|---|---|\n{body}" if body else "\nNo arguments.\n"
    return f"\n## {name}\n\n{text}\n{table}"


def _arguments(model: type[Arguments]) -> Iterator[str]:
    schema = model.model_json_schema()["properties"] if model.model_fields else {}
    for name, field in model.model_fields.items():
        notes = [field.description or "", limits_of(field), _choices(schema[name])]
        text = " ".join(note for note in notes if note)
        yield f"| `{name}` | {_default(field)} | {text} |\n"


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    value = field.default
    if value is None or value == "":
        return "-"
    return f"`{str(value).lower()}`" if isinstance(value, bool) else f"`{value}`"


def _choices(schema: dict[str, object]) -> str:
    values = schema.get("enum")
    return ", ".join(f"`{value}`" for value in values) if isinstance(values, list) else ""
