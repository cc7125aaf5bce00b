"""The driver's and the server's errors in our words, each with what to do next. None holds the password."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

from kgbuild.errors import StoreError, UsageError
from kgbuild.stores._neo4j_address import Address

_AFTER_DISK = (
    "is the server's disk full? Its logs/debug.log says why. Make room, restart the server, and run the same command "
    "again: what is written is kept"
)
_REFUSED = {
    "Neo.ClientError.Security.Unauthorized": (
        "the server refused user {user} and the password given",
        "set NEO4J_PASSWORD and --user to what the server knows",
    ),
    "Neo.ClientError.Security.AuthenticationRateLimit": (
        "the server refuses user {user} for a while, after too many wrong passwords",
        "wait a few seconds, then give the right password",
    ),
    "Neo.ClientError.Security.CredentialsExpired": (
        "the password of {user} has to be changed before it can be used",
        "change it in Neo4j Browser: ALTER CURRENT USER SET PASSWORD FROM … TO …",
    ),
    "Neo.ClientError.Database.DatabaseNotFound": ("the server has no database {database!r}", "SHOW DATABASES"),
    "Neo.ClientError.Security.Forbidden": ("user {user} may not do this", "give that user the right, or take another"),
    "Neo.DatabaseError.Transaction.TransactionLogError": ("the server could not write to its disk", _AFTER_DISK),
    "Neo.DatabaseError.Transaction.TransactionStartFailed": ("the server has the database shut", _AFTER_DISK),
    "Neo.TransientError.General.DatabaseUnavailable": ("the server has the database shut", _AFTER_DISK),
    "Neo.ClientError.General.WriteOnReadOnlyAccessMode": ("the database is read-only", "make it writable"),
    "Neo.ClientError.Statement.AccessMode": ("a query may only read, and this statement writes", ""),
    "Neo.ClientError.Transaction.TransactionTimedOut": ("the query took too long", "give a longer --timeout"),
    "Neo.ClientError.Transaction.TransactionTimedOutClientConfiguration": (
        "the query took longer than its {timeout:g} s",
        "give a longer --timeout",
    ),
}


@contextmanager
def told(address: Address) -> Iterator[None]:
    """Turn the driver's errors into ours."""
    from neo4j.exceptions import ConfigurationError, DriverError, Neo4jError

    try:
        yield
    except Neo4jError as error:
        raise _refusal(address, error.code or "", error.message or "") from None
    except ConfigurationError as error:
        raise UsageError(f"the driver refuses the address: {error}", where=address.uri) from None
    except DriverError as error:
        raise _unreachable(address, str(error)) from None
    except OSError as error:
        raise _unreachable(address, f"{type(error).__name__}: {error}") from None


def _refusal(address: Address, code: str, words: str) -> StoreError:
    if code in _REFUSED:
        message, step = _REFUSED[code]
        filled = message.format(user=address.user, database=address.database, timeout=address.timeout_s)
        return StoreError(filled, where=str(address), next_step=step or None)
    if "read-only" in words or "read only" in words:
        return StoreError(f"the database cannot be written: {words}", where=str(address))
    return StoreError(f"Neo4j refused: {words} ({code})", where=str(address))


def _unreachable(address: Address, words: str) -> StoreError:
    reason = " ".join(words.split())
    scheme = urlsplit(address.uri).scheme
    if "+s" in scheme:
        step = f"does the port speak TLS? Without it the address is {scheme.partition('+')[0]}://…"
        if scheme.endswith("+s"):
            step += "; a certificate that is not known here needs --ca-file, or the +ssc scheme"
    else:
        step = "is the server up, and are host and port right? A server that wants TLS needs bolt+s://… or neo4j+s://…"
    return StoreError(f"no Neo4j server answers: {reason}", where=str(address), next_step=step)
