"""Keys, signatures and root records: everything that makes a device believe a package."""
