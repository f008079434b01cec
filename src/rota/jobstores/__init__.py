"""Job stores: where jobs and the ledger of their runs are kept. One backend in each module."""
