"""The browser, for all tests of the site."""

from browser import open_page as open_page
