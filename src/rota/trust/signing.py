"""Signatures of stored jobs and runs: whether what a store gives back is what somebody with the key has put there.

Works on texts and decodes none of them; keys are in no ``repr()`` and in no message.
"""

from __future__ import annotations

import hmac
import re

from ..errors import ConfigurationError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..core.run import Run

__all__ = ("Signer", "signer_of")

#: Fewer bytes can be guessed.
MIN_KEY_LENGTH = 16
#: The signature is the first member of the options of a job: ``{"signature":"1:<64 hexadecimal digits>",…}``.
MARK = '{"signature":"'
_SIGNED = re.compile(r'\{"signature":"1:([0-9a-f]{64})"(?:,(?=")|(?=\}))')
_OF_RUN = re.compile(r"1:([0-9a-f]{64})")


def signer_of(key: str | bytes | Sequence[str | bytes] | None) -> Signer | None:
    """Return the signer of a ``signing_key`` option, None for None.

    :param key: one key, or several: the first signs, and what any of them has signed is accepted
    :raises ConfigurationError: if there is none among them, or one is shorter than 16 bytes or no text
    """
    if key is None:
        return None
    if not isinstance(key, (list, tuple)):
        key = [key]  # type: ignore[list-item]  # Signer() looks at what it is
    return Signer(key)


class Signer:
    """Signs and verifies the texts of jobs, and what is fixed of runs, by HMAC-SHA256.

    What is signed is ``rota-job-1`` and, as UTF-8, the job's id, callable reference, trigger, args, kwargs, options (without the
    signature) and executor, each as a netstring (its length in bytes, a colon, the bytes, a comma), so that no two jobs
    have the same form. Of a run it is ``rota-run-1`` and, in the same way, its job's id, nominal time, due time, executor and
    origin (nothing for the schedule), times in microseconds; of a run with arguments of its own it is ``rota-run-2`` and these
    as well.
    """

    __slots__ = ("_keys",)

    def __init__(self, keys: Sequence[str | bytes]) -> None:
        if not keys:
            raise ConfigurationError("signing_key is an empty list; give a key, or None for no signatures")
        for key in keys:
            if not isinstance(key, (str, bytes)):
                raise ConfigurationError(
                    f"signing_key must be text or bytes, or a list of these; there is a {type(key).__name__} in it"
                )
        self._keys = [key.encode() if isinstance(key, str) else bytes(key) for key in keys]
        if min(map(len, self._keys)) < MIN_KEY_LENGTH:
            raise ConfigurationError(
                f"signing_key must have at least {MIN_KEY_LENGTH} bytes; "
                f"python -c 'import secrets; print(secrets.token_hex(32))' makes a good one"
            )

    def signed(self, parts: Sequence[str]) -> str:
        """Return the options of a job with its signature in them.

        :param parts: id, callable reference, trigger, args, kwargs, options and executor
        """
        digest = hmac.digest(self._keys[0], _message(parts), "sha256").hex()
        return joined(digest, parts[5])

    def refusal(self, signature: str | None, parts: Sequence[str]) -> str | None:
        """Return why a job is not accepted; None if it is.

        :param signature: the signature that came with it
        :param parts: as in :meth:`signed`
        """
        if signature is None:
            return "it is not signed, and this store accepts only signed jobs"
        return None if self._fits(_message(parts), signature) else _MISFIT

    def sign_run(self, run: Run) -> None:
        """Sign a run that is about to be claimed: whoever takes it over from this node can tell that it is one of ours."""
        parts = _parts_of(run)
        digest = hmac.digest(
            self._keys[0], _message(parts, _RUN if len(parts) == _PLAIN else _CALL), "sha256"
        )
        run.signature = f"1:{digest.hex()}"

    def run_refusal(self, run: Run) -> str | None:
        """Return why a run that the store says was claimed is not accepted; None if it is."""
        found = _OF_RUN.fullmatch(run.signature) if type(run.signature) is str else None
        if found is None:
            return "it is not signed, and this store accepts only signed runs"
        parts = _parts_of(run)
        if not all(type(part) is str for part in parts):
            return _MISFIT
        return (
            None
            if self._fits(_message(parts, _RUN if len(parts) == _PLAIN else _CALL), found[1])
            else _MISFIT
        )

    def signed_backfill(self, job_id: str, text: str) -> str:
        """Return what is left of the backfill of a job with its signature in it."""
        digest = hmac.digest(self._keys[0], _message((job_id, text), _BACKFILL), "sha256").hex()
        return joined(digest, text)

    def backfill_refusal(self, job_id: str, text: str) -> str | None:
        """Return why what is left of the backfill of a job is not accepted; None if it is."""
        signature, plain = separated(text)
        if signature is None:
            return "it is not signed, and this store accepts only signed backfills"
        return None if self._fits(_message((job_id, plain), _BACKFILL), signature) else _MISFIT

    def _fits(self, message: bytes, signature: str) -> bool:
        given = bytes.fromhex(signature)
        # Every key is tried, so that the time does not tell which one has signed.
        fits = [hmac.compare_digest(hmac.digest(key, message, "sha256"), given) for key in self._keys]
        return any(fits)

    def __repr__(self) -> str:
        return f"<Signer ({len(self._keys)} keys)>"


def separated(options: str) -> tuple[str | None, str]:
    """Return the signature that stands in the options of a job (None if there is none), and the options without it."""
    found = _SIGNED.match(options)
    return (None, options) if found is None else (found[1], "{" + options[found.end() :])


def joined(signature: str | None, options: str) -> str:
    """Return the options of a job with a signature in them: the reverse of :func:`separated`."""
    if signature is None:
        return options
    return f'{MARK}1:{signature}"' + ("}" if options == "{}" else f",{options[1:]}")


_MISFIT = "its signature does not fit: it was changed by somebody without the key, or signed with another key"
_JOB = b"rota-job-1\n"
_RUN = b"rota-run-1\n"
_CALL = b"rota-run-2\n"
_BACKFILL = b"rota-backfill-1\n"
#: how many parts a run without arguments of its own has
_PLAIN = 5


def _parts_of(run: Run) -> tuple[str, ...]:
    origin = "" if run.origin == "schedule" else run.origin
    parts = (run.job_id, str(run.nominal), str(run.due), run.executor, origin)
    extra = getattr(run, "extra", None)
    if extra is None or (extra.args is None and extra.kwargs is None):
        return parts
    return (*parts, extra.args or "", extra.kwargs or "")


def _message(parts: Sequence[str], kind: bytes = _JOB) -> bytes:
    message = [kind]
    for part in parts:
        data = part.encode("utf-8", "surrogatepass")
        message.append(b"%d:%b," % (len(data), data))
    return b"".join(message)
