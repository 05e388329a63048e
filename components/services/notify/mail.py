"""A mail by SMTP: with STARTTLS, with TLS from the beginning, or unprotected to this machine's own server."""

from __future__ import annotations

import smtplib
import ssl
from contextlib import suppress
from email.message import EmailMessage

from components.services.notify.attempts import NotTaken, hidden
from components.services.params import EmailParams

__all__ = ["send_mail"]


def send_mail(
    mail: EmailMessage, params: EmailParams, *, user: str | None, password: str | None, seconds: float
) -> None:
    """Send it once.

    Certificates are checked against those that the system trusts (SSL_CERT_FILE names others). A server that takes it
    for some of the recipients alone has taken it; who is left out is told.

    Raises NotTaken: `maybe` where the connection broke while the server had it in hand.
    """
    place, timeout = f"{params.host}:{params.port}", seconds  # some servers greet only after seconds, on purpose
    domain = params.sender.rpartition("@")[2]  # said as our own name: looking up that of this machine may take seconds
    in_hand = False
    try:
        context = None if params.security == "none" else ssl.create_default_context()
        if params.security == "tls":
            smtp: smtplib.SMTP = smtplib.SMTP_SSL(
                params.host, params.port, local_hostname=domain, timeout=timeout, context=context
            )
        else:
            smtp = smtplib.SMTP(params.host, params.port, local_hostname=domain, timeout=timeout)
        try:
            if params.security == "starttls":
                smtp.starttls(context=context)
            if user is not None and password is not None:
                smtp.login(user, password)
            in_hand = True
            refused = smtp.send_message(mail)
            in_hand = False
            with suppress(smtplib.SMTPException, OSError):
                smtp.quit()
        finally:
            smtp.close()
    except smtplib.SMTPNotSupportedError as error:
        raise NotTaken(f"{place} does not offer it: {hidden(str(error))}") from None
    except smtplib.SMTPRecipientsRefused as error:
        said = hidden("; ".join(f"{code} {_text(text)}" for code, text in error.recipients.values()))
        raise NotTaken(f"{place} takes mail for none of the recipients: {said}", again=_later(error)) from None
    except smtplib.SMTPResponseException as error:
        said = hidden(_text(error.smtp_error), password, user)
        raise NotTaken(f"{place} answers {error.smtp_code}: {said}", again=400 <= error.smtp_code < 500) from None
    except (smtplib.SMTPException, OSError) as error:
        why = hidden(str(error) or type(error).__name__, password, user)
        if in_hand:
            raise NotTaken(f"{place} had it in hand and did not answer ({why})", maybe=True) from None
        again = not isinstance(error, ssl.SSLCertVerificationError)
        raise NotTaken(f"{place} cannot be reached: {why}", again=again) from None
    except (ValueError, UnicodeError) as error:
        raise NotTaken(f"it cannot be written as a mail: {hidden(str(error), password, user)}") from None
    if refused:
        raise NotTaken(f"{place} took it, but not for {', '.join(sorted(refused))}")


def _later(error: smtplib.SMTPRecipientsRefused) -> bool:
    return all(400 <= code < 500 for code, _ in error.recipients.values())


def _text(said: bytes | str) -> str:
    return said.decode("utf-8", "replace") if isinstance(said, bytes) else said
