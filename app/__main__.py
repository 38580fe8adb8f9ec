"""The program: one role per command, `all` when none is named. Chooses what to start and starts it, nothing more."""

import asyncio
import json
from collections.abc import Coroutine
from enum import StrEnum
from typing import Annotated, Any, NoReturn, TypeVar

import typer
from pydantic import SecretStr, ValidationError

from app.calls.errors import DialError
from app.runtime.settings import Settings

T = TypeVar("T")

cli = typer.Typer(
    help="Dial-to-SIP: one HTTP request places a SIP call, and every event of it reaches your webhook.",
    no_args_is_help=False,
    add_completion=False,
    pretty_exceptions_enable=False,
)


@cli.callback(invoke_without_command=True)
def default(context: typer.Context) -> None:
    if context.invoked_subcommand is None:
        all_roles()


@cli.command("all")
def all_roles() -> None:
    """Everything on one machine: database (embedded unless DIAL_DATABASE_URL is set), API, workers, webhooks."""
    from app.supervisor import run_all

    raise typer.Exit(run_all(_settings()))


@cli.command()
def api() -> None:
    """Serve the HTTP API."""
    _serve("api")


@cli.command()
def worker() -> None:
    """Claim dial requests and place their calls."""
    _serve("worker")


@cli.command()
def webhooks() -> None:
    """Deliver what is owed to callbacks."""
    _serve("webhooks")


@cli.command()
def migrate() -> None:
    """Bring the database's schema to this version, and create the first account if there is none."""
    from app.wiring.accounts import migrate_and_create_account

    settings = _settings("DIAL_DATABASE_URL", "DIAL_SECRET_KEY")
    typer.echo(_done(migrate_and_create_account(settings)))


class AccountAction(StrEnum):
    CREATE = "create"
    ROTATE = "rotate-secret"


@cli.command()
def account(
    action: Annotated[AccountAction, typer.Argument(help="make another account, or give SID a new webhook secret")],
    sid: Annotated[str, typer.Argument(help="of the account whose webhook secret is to change")] = "",
) -> None:
    """Print new credentials, once. During the rotation of a webhook secret, for a day, the old one signs too."""
    from app.wiring.accounts import manage_account, reachable

    if (action is AccountAction.ROTATE) != bool(sid):
        _refuse("rotate-secret wants the sid of an account, create wants none")
    chosen = reachable(_settings())
    if chosen is None:
        _refuse("there is no database yet: start the service first, or set DIAL_DATABASE_URL and DIAL_SECRET_KEY")
    typer.echo(json.dumps(_done(manage_account(chosen, sid or None)), indent=2))


@cli.command()
def openapi() -> None:
    """Print the OpenAPI document."""
    from app.api.openapi import render

    typer.echo(render(_settings()))


@cli.command()
def settings() -> None:
    """List every setting: environment variable, default, what it is for."""
    for name, field in Settings.model_fields.items():
        default = field.get_default(call_default_factory=True)
        shown = ",".join(f"{part:g}" if isinstance(part, float) else str(part) for part in default) \
            if isinstance(default, tuple) else str("" if default is None else default)  # fmt: skip
        typer.echo(f"DIAL_{name.upper():<22} {shown or '(empty)':<22} {field.description}")


@cli.command()
def demo(
    callee_answers: Annotated[int, typer.Option(help="another final response of the callee, such as 486")] = 200,
    receiver_answers: Annotated[int, typer.Option(help="another answer of the webhook receiver, such as 500")] = 204,
) -> None:
    """Place one call to a built-in SIP callee and show it live; exit status 0 only if the whole road worked."""
    from app.demo.show import run_demo

    raise typer.Exit(run_demo(callee_answers=callee_answers, receiver_answers=receiver_answers))


def main() -> None:
    cli()


def _serve(role: str) -> None:
    from app.runtime.supervised import die_with_supervisor
    from app.wiring.serve import serve

    die_with_supervisor()
    raise typer.Exit(serve(role, _settings("DIAL_DATABASE_URL", "DIAL_SECRET_KEY")))


def _refuse(why: str) -> NoReturn:
    typer.echo(why, err=True)
    raise typer.Exit(2)


def _done(work: Coroutine[Any, Any, T]) -> T:
    """The result, or one line about why there is none and exit status 1."""
    try:
        return asyncio.run(work)
    except DialError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(1) from None


def _settings(*required: str) -> Settings:
    """The settings, or a clear word about the one that is wrong or missing and exit status 2."""
    try:
        chosen = Settings()
    except ValidationError as error:
        for problem in error.errors():
            name = "DIAL_" + "_".join(str(part) for part in problem["loc"]).upper()
            secret = Settings.model_fields[str(problem["loc"][0])].annotation is SecretStr
            typer.echo(f"{name}: {problem['msg']}" + ("" if secret else f" (it is {problem['input']!r})"), err=True)
        raise typer.Exit(2) from None
    for variable in required:
        if not getattr(chosen, variable.removeprefix("DIAL_").lower()).get_secret_value():
            _refuse(f"{variable} is not set; only the role `all` can do without it")
    return chosen


if __name__ == "__main__":
    main()
