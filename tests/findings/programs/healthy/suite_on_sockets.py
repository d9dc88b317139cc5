"""pytest with a function-scoped client against a live test server, so that no test sees another's cookies."""

import os
import sys
import tempfile
from pathlib import Path
from textwrap import dedent

import pytest

os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
with tempfile.TemporaryDirectory() as folder:
    suite = Path(folder, "test_orders.py")
    suite.write_text(
        dedent("""
        import os
        import httpx
        import pytest

        @pytest.fixture
        def client():
            with httpx.Client(base_url=os.environ["URL"]) as fresh:
                yield fresh

        @pytest.mark.parametrize("number", range(12))
        def test_order(client, number):
            client.post(f"/login/u{number}")
            assert client.get(f"/fixed/orders/{number}").status_code == 200
            assert len(client.cookies) == 1
        """)
    )
    sys.exit(pytest.main(["-q", "-p", "no:cacheprovider", str(suite), "--rootdir", folder]))
