"""The components that come with dcc. They arrive through the same entry point as anyone's."""
