.PHONY: setup test lint types bench docs site check

setup:  ## an editable install with the tools of development
	pip install -e '.[dev]'

test:  ## the tests
	pytest

lint:  ## style and mistakes
	ruff check .
	ruff format --check .

types:  ## static types of the core
	pyright

bench:  ## ratios against the field's way of working; fails where one does not keep to its bound
	python benchmarks/speed.py --rounds 3

docs:  ## write the generated parts of the README
	python tests/test_docs.py

site:  ## the documentation site, into build/site; warnings are errors
	NO_MKDOCS_2_WARNING=1 mkdocs build --quiet

check: lint types test
