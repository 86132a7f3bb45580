"""Stores: where bytes lie. `catalogkit.stores.contract` says what one must do."""
