"""The stores a catalog knows: what it calls each, what kind it is, and the token that it carries."""

from __future__ import annotations

from catalogkit.catalog.contract import StoreRow
from catalogkit.catalog.sql.base import Database
from catalogkit.errors import StoreMismatch


class Stores(Database):
    """Stores by name and token."""

    def stores(self) -> list[StoreRow]:
        """Every store this catalog knows."""
        return [StoreRow(*row) for row in self.rows("SELECT id, name, kind, token FROM stores ORDER BY id")]

    def add_store(self, name: str, kind: str, token: str) -> StoreRow:
        """Register a store; the same name and token again changes nothing, another token is refused."""
        with self.write("add store") as db:
            sql = "SELECT id, name, kind, token FROM stores WHERE name = ? OR token = ?"
            row = db.execute(sql, (name, token)).fetchone()
            if row is None:
                sql = "INSERT INTO stores (name, kind, token) VALUES (?, ?, ?) RETURNING id, name, kind, token"
                row = db.execute(sql, (name, kind, token)).fetchone()
        if row[1:] != (name, kind, token):
            raise StoreMismatch(f"the catalog knows another store as {name!r}, or this store under another name")
        return StoreRow(*row)
