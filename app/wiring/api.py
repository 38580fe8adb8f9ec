"""The role `api`."""

from app.api.app import create_app
from app.api.parts import ApiParts
from app.api.server import serve as serve_http
from app.dialing.hangup import HangUp
from app.dialing.place import Place
from app.dialing.replace import Replace
from app.recordings.from_settings import links_of, shelves_of
from app.runtime.settings import Settings
from app.runtime.supervised import announce_ready
from app.store.accounts import Accounts
from app.store.allowance import Allowance
from app.store.calls import CallReads
from app.store.deliveries import Deliveries
from app.store.numbers import Numbers
from app.store.placing import Placing
from app.store.queue import DialQueue
from app.store.recordings import RecordingRows
from app.store.trace import TraceStore
from app.wiring.home import local_host
from app.wiring.role import http_policy, open_database, sip_policy


async def run_api(settings: Settings) -> int:
    """Serve the API until SIGTERM; uvicorn finishes the requests that run."""
    async with open_database(settings, "api") as (database, sealer):
        placing = Placing(database, sealer, Allowance(settings.account_rate, settings.account_calls))
        calls, queue = CallReads(database, sealer), DialQueue(database, sealer)
        await placing.start()
        app = create_app(
            ApiParts(
                settings=settings,
                database=database,
                place=Place(placing, calls, local_host(settings)),
                hang_up=HangUp(calls, queue),
                replace=Replace(calls, queue),
                calls=calls,
                queue=queue,
                deliveries=Deliveries(database, sealer),
                trace=TraceStore(database),
                accounts=Accounts(database, sealer),
                numbers=Numbers(database, sealer),
                recordings=RecordingRows(database, sealer),
                shelves=shelves_of(settings),
                links=links_of(settings),
                sip_policy=sip_policy(settings),
                http_policy=http_policy(settings),
            )
        )
        code = await serve_http(
            app,
            host=settings.http_host,
            port=settings.http_port,
            root_path=settings.root_path,
            ready=announce_ready,
        )
        await placing.stop()
        return code
