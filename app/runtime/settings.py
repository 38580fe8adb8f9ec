"""Every setting of every role: an environment variable, its default and what it is for. Reads nothing else."""

import ipaddress
import re
from functools import cached_property
from pathlib import Path
from typing import Annotated

from pydantic import Field, SecretStr, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

Network = ipaddress.IPv4Network | ipaddress.IPv6Network

# An address, with brackets around IPv6 if a port follows.
_HOST_AND_PORT = r"^$|^[0-9.]+(:[0-9]{1,5})?$|^\[[0-9A-Fa-f:.]+\](:[0-9]{1,5})?$"
_WILDCARDS = ("0.0.0.0", "::", "")
_RETRIES = "5,30,300,1800,7200,18000,36000"


class Settings(BaseSettings):
    """Names are ``DIAL_`` and the field's name in capitals; seconds unless the text says otherwise."""

    model_config = SettingsConfigDict(env_prefix="DIAL_", frozen=True, extra="ignore")

    database_url: SecretStr = Field(
        SecretStr(""), description="PostgreSQL address (postgresql://…); empty: an embedded one"
    )
    database_pool: int = Field(
        10, ge=2, le=1000, description="connections that one process keeps, beside those that listen"
    )
    data_dir: Path = Field(Path(".data"), description="where the embedded database, the first account and the key live")
    http_host: str = Field("127.0.0.1", description="address of the API")
    http_port: int = Field(8080, ge=0, le=65535, description="port of the API")
    sip_host: str = Field("127.0.0.1", description="address that SIP and RTP are bound to")
    sip_port: int = Field(5060, ge=1, le=65535, description="SIP port (UDP and TCP); worker n of `all` adds 2n")
    sip_advertised_host: str = Field("", description="host in Via, Contact and SDP; empty: the bound one")
    sip_tls_port: int | None = Field(
        None, ge=1, le=65535, description="port that SIP over TLS listens on; empty: none; worker n of `all` adds 2n"
    )
    sip_tls_cert: Path | None = Field(None, description="PEM file with our certificate and its chain")
    sip_tls_key: Path | None = Field(None, description="PEM file with its key; empty: the certificate's file has it")
    sip_tls_ca: Path | None = Field(None, description="PEM file of the authorities to trust; empty: the system's")
    sip_tls_verify: str = Field("on", pattern="^(on|off)$", description="on or off: check the certificates of callees")
    sip_proxy: str = Field(
        "",
        pattern=r"^$|^[Ss][Ii][Pp][Ss]?:[^\s<>@?\"]+$",
        description="SIP URI of an outbound proxy that every call goes through; empty: none",
    )
    srtp: str = Field(
        "optional",
        pattern="^(off|optional|required)$",
        description="off, optional or required: encrypted media on calls over TLS; required refuses other calls",
    )
    dns: str = Field(
        "", pattern=_HOST_AND_PORT, description="name server for SIP, address or address:port; empty: the system's"
    )
    inbound_rate: float = Field(
        10, ge=0, description="INVITEs a second from one source, twice as many at once; 0: as many as it likes"
    )
    rtp_ports: str = Field("10000-19999", pattern=r"^[0-9]{1,5}-[0-9]{1,5}$", description="range of RTP ports")
    rtp_timeout: float = Field(30, gt=0, description="silence of RTP and RTCP after which a call is hung up")
    drain_seconds: float = Field(30, ge=0, description="how long running calls may go on after SIGTERM")
    account_sid: str = Field("", description="sid of the first account; empty: made up, kept in the data dir")
    auth_token: SecretStr = Field(SecretStr(""), description="token of the first account; empty: made up")
    webhook_secret: SecretStr = Field(SecretStr(""), description="whsec_… of the first account; empty: made up")
    secret_key: SecretStr = Field(SecretStr(""), description="seals SIP passwords and tokens at rest; `all` makes one")
    http_allow: Annotated[tuple[Network, ...], NoDecode] = Field(
        (), description="CIDRs that webhooks may reach although private"
    )
    sip_allow: Annotated[tuple[Network, ...], NoDecode] = Field(
        (), description="CIDRs that SIP may reach although private"
    )
    max_calls: int = Field(200, ge=1, description="calls that one worker runs at once")
    max_wait: float = Field(5, gt=0, description="how long a dial request may wait for a worker")
    account_rate: int = Field(
        0, ge=0, description="calls that one account may place in any second, over all processes; 0: no limit"
    )
    account_calls: int = Field(
        0, ge=0, description="calls that one account may have at once, over all processes; 0: no limit"
    )
    workers: int = Field(1, ge=1, le=64, description="worker processes of `all`")
    webhook_retries: Annotated[tuple[float, ...], NoDecode] = Field(
        tuple(float(part) for part in _RETRIES.split(",")),
        description="waits before each retry of a delivery",
    )
    public_url: str = Field(
        "",
        pattern=r"^$|^https?://[^\s?#]+$",
        description="address of the API as customers reach it, in links to recordings; empty: the bound one",
    )
    recordings_dir: Path | None = Field(
        None, description="folder of finished recordings; empty: `recordings` in the data dir"
    )
    recordings_s3_bucket: str = Field("", description="bucket for recordings instead of the folder; empty: none")
    recordings_s3_endpoint: str = Field(
        "", pattern=r"^$|^https?://[^\s?#]+$", description="address of the S3 store; empty: AWS"
    )
    recordings_s3_prefix: str = Field("", description="what the names of recordings in the bucket begin with")
    recordings_s3_region: str = Field("us-east-1", description="region of the bucket")
    recordings_s3_key: str = Field("", description="access key id; empty: found as AWS's own tools find theirs")
    recordings_s3_secret: SecretStr = Field(SecretStr(""), description="secret access key")
    recording_links: str = Field(
        "auth",
        pattern="^(auth|signed)$",
        description="auth or signed: whether a recording's link needs the account's token, or carries a signature",
    )
    recording_link_seconds: float = Field(604_800, gt=0, description="how long a signed link is good for")
    recording_retention_days: float = Field(0, ge=0, description="days that recordings are kept; 0: for ever")
    trace: str = Field("on", pattern="^(on|off)$", description="on or off: keep the SIP messages of each call")
    hep_address: str = Field(
        "",
        pattern=r"^$|^[^\s/]+:[0-9]{1,5}$",
        description="host:port of a Homer that gets a copy of what the trace keeps (HEP3 over UDP)",
    )
    log_level: str = Field("info", pattern="^(debug|info|warning|error)$", description="debug, info, warning or error")
    log_format: str = Field(
        "auto", pattern="^(auto|console|json)$", description="auto: console on a terminal, else JSON"
    )
    root_path: str = Field("", description="path prefix that a proxy in front takes away")

    @field_validator("rtp_ports")
    @classmethod
    def _range(cls, value: str) -> str:
        low, high = (int(part) for part in value.split("-"))
        if not 1024 <= low < high <= 65535:
            raise ValueError("a range of ports is low-high, within 1024-65535, with at least two ports")
        return value

    @field_validator("sip_tls_port", "sip_tls_cert", "sip_tls_key", "sip_tls_ca", "recordings_dir", mode="before")
    @classmethod
    def _optional(cls, value: object) -> object:
        return None if value == "" else value

    @model_validator(mode="after")
    def _certificate(self) -> "Settings":
        if self.sip_tls_port is not None and self.sip_tls_cert is None:
            raise ValueError("DIAL_SIP_TLS_PORT needs a certificate in DIAL_SIP_TLS_CERT")
        return self

    @field_validator("http_allow", "sip_allow", mode="before")
    @classmethod
    def _networks(cls, value: object) -> object:
        if not isinstance(value, str):
            return value
        return tuple(ipaddress.ip_network(part.strip()) for part in value.split(",") if part.strip())

    @field_validator("webhook_retries", mode="before")
    @classmethod
    def _seconds(cls, value: object) -> object:
        if not isinstance(value, str):
            return value
        waits = tuple(float(part) for part in value.split(",") if part.strip())
        if not all(0 <= wait < 86_400 for wait in waits):
            raise ValueError("waits are seconds, from 0 to a day, with commas between them")
        return waits

    @field_validator("database_url")
    @classmethod
    def _address(cls, value: SecretStr) -> SecretStr:
        if value.get_secret_value() and not re.match(r"postgres(ql)?(\+\w+)?://", value.get_secret_value()):
            raise ValueError("a database URL begins with postgresql://")
        return value

    @model_validator(mode="after")
    def _bucket_key(self) -> "Settings":
        if bool(self.recordings_s3_key) != bool(self.recordings_s3_secret.get_secret_value()):
            raise ValueError("DIAL_RECORDINGS_S3_KEY and DIAL_RECORDINGS_S3_SECRET go together")
        return self

    @cached_property
    def api_url(self) -> str:
        """The API as customers reach it; of a wildcard host, as this machine does."""
        if self.public_url:
            return self.public_url.rstrip("/")
        host = "localhost" if self.http_host in _WILDCARDS else self.http_host
        bracketed = f"[{host}]" if ":" in host else host
        return f"http://{bracketed}:{self.http_port}{self.root_path}"

    @cached_property
    def rtp_range(self) -> range:
        """The RTP ports as a range, last one included."""
        low, high = self.rtp_ports.split("-")
        return range(int(low), int(high) + 1)

    @cached_property
    def calls_at_once(self) -> int:
        """What one worker has room for: a call has at least one leg, and its RTP and RTCP take an even port and the
        next. What is more waits, for `max_wait`, instead of failing for want of a port."""
        ports = self.rtp_range
        pairs = (ports.stop - ports.start - ports.start % 2) // 2
        return max(1, min(self.max_calls, pairs))
