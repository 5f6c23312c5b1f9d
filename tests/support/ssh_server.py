"""An SFTP server for one user: HOST PORT USER PASSWORD."""

from __future__ import annotations

import asyncio
import sys

import asyncssh


class OneUser(asyncssh.SSHServer):
    """Lets one user in, by password."""

    def begin_auth(self, username: str) -> bool:  # noqa: ARG002
        return True

    def password_auth_supported(self) -> bool:
        return True

    def validate_password(self, username: str, password: str) -> bool:
        return [username, password] == sys.argv[3:5]


async def serve() -> None:
    key = asyncssh.generate_private_key("ssh-ed25519")
    await asyncssh.listen(
        sys.argv[1], int(sys.argv[2]), server_factory=OneUser, server_host_keys=[key],
        sftp_factory=True,
    )  # fmt: skip
    await asyncio.Event().wait()


asyncio.run(serve())
