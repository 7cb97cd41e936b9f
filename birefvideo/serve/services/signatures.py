"""How services sign their webhooks, so that who is called can tell that it was this server.

Replicate's are those of the Standard Webhooks form (Svix): HMAC with a secret that its client asks for. fal's are
Ed25519 signatures, whose public key lies at /.well-known/jwks.json.
"""

from __future__ import annotations

import hmac
import time
from base64 import b64encode, urlsafe_b64encode
from hashlib import sha256
from typing import TYPE_CHECKING

from birefvideo.serve.secret import Secret
from birefvideo.serve.store import Job
from birefvideo.serve.studio import Studio

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

Headers = dict[str, str]
"""Headers of a request, with _ for -."""
JWKS = "/.well-known/jwks.json"
_USER = "birefvideo"
"""fal says whose request it was: here there is one user."""


def replicates_secret(secret: Secret) -> str:
    """Return what Replicate's client verifies with."""
    return f"whsec_{b64encode(secret.key('replicate')).decode()}"


def replicates(studio: Studio, job: Job, content: bytes) -> Headers:
    """Return the headers of a webhook of Replicate's; its id is that of the message, however often it is sent."""
    key, now = f"msg_{sha256(job.id.encode() + content).hexdigest()[:32]}", str(int(time.time()))
    signed = hmac.digest(studio.secret.key("replicate"), f"{key}.{now}.".encode() + content, "sha256")
    return {
        "webhook_id": key,
        "webhook_timestamp": now,
        "webhook_signature": f"v1,{b64encode(signed).decode()}",
    }


def fals(studio: Studio, job: Job, content: bytes) -> Headers:
    """Return the headers of a webhook of fal's."""
    now = str(int(time.time()))
    signed = _fals_key(studio.secret).sign("\n".join((job.id, _USER, now, sha256(content).hexdigest())).encode())
    return {
        "x_fal_webhook_request_id": job.id,
        "x_fal_webhook_user_id": _USER,
        "x_fal_webhook_timestamp": now,
        "x_fal_webhook_signature": signed.hex(),
    }


def fals_public_keys(secret: Secret) -> dict[str, list[dict[str, str]]]:
    """Return what webhooks of fal's are verified with, as a JSON Web Key Set."""
    key = urlsafe_b64encode(_fals_key(secret).public_key().public_bytes_raw()).rstrip(b"=").decode()
    return {"keys": [{"kty": "OKP", "crv": "Ed25519", "alg": "EdDSA", "use": "sig", "kid": "1", "x": key}]}


def none(studio: Studio, job: Job, content: bytes) -> Headers:
    """Sign nothing: for services whose webhooks have no signatures."""
    return {}


def _fals_key(secret: Secret) -> Ed25519PrivateKey:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    return Ed25519PrivateKey.from_private_bytes(secret.key("fal"))
