"""The release that is in service: sealed releases, who is champion, promote and rollback."""
