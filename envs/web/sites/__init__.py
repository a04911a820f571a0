"""The families of sites, one file each."""
