"""Mail server suite on Twisted: each protocol works alone, ``mailsuite.service`` joins them."""

__version__ = "0.1.0"
__all__ = ["__version__"]
