.PHONY: setup test lint types docs check

setup:  ## an editable install with the tools of development
	pip install -e '.[dev]'

test:  ## the tests
	pytest

lint:  ## style and mistakes
	ruff check .
	ruff format --check .

types:  ## static types of the core
	pyright

docs:  ## write the generated parts of the README
	python tests/test_docs.py

check: lint types test
