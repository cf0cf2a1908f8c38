"""What the clients of all vendors are made of. A vendor adds data and pure functions: see `apsaravideo/`."""
