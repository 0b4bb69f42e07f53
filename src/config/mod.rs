//! TOML files, checked whole, into each room's settings.
