.PHONY: setup test lint types rooms bench docs site check

setup:  ## an editable install with the tools of development
	pip install -e '.[dev]'

test:  ## the tests, on all cores
	pytest -n auto

lint:  ## style and mistakes
	ruff check .
	ruff format --check .

types:  ## static types of the core
	pyright

rooms:  ## layers and doors
	lint-imports

bench:  ## ratios against the field's way of working; fails where one does not keep to its bound
	python benchmarks/speed.py --rounds 3

docs:  ## write the generated parts of README and docs
	python tests/docs/test_docs.py
	python tests/house/rooms.py

site:  ## the documentation site, into build/site; warnings are errors
	NO_MKDOCS_2_WARNING=1 mkdocs build --quiet

check: lint types rooms test
