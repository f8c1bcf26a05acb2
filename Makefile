# make demo   the demo hospital from untouched to hardened, with its report
# Everything works again after an interruption; what is already there is kept.

SHELL := /bin/bash
MAKEFLAGS += --no-print-directory
.DEFAULT_GOAL := help

PALIER ?= 2
IMAGES := debian12 debian13
INVENTORY ?= inventories/demo
MIRROR ?=
BIN := .venv/bin
WALK := $(addprefix tests/lab/test_,data_destruction.py wifi.py walk.py segmentation.py breaks.py waiver.py)
export PATH := $(CURDIR)/$(BIN):$(PATH)

.PHONY: help
help: ## Cette aide
	@echo 'PGSSI-S : durcir les serveurs Linux d’un établissement de santé, et le prouver.'; echo
	@sed -nE 's/^([a-z]+):[^#]*## (.*)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 16
	@echo; echo '  Ensuite : . .venv/bin/activate && pgssi --help'

.PHONY: demo
demo: images ## L’hôpital de démonstration : audit, durcissement (PALIER=1|2|3), audit, rapport
	@pgssi lab demo --palier $(PALIER)

.PHONY: test
test: IMAGES = debian12 debian13 debian12-vm
test: lint images ## Tests du paquet, des paliers 0 à 3 et des sabotages ; remet à neuf puis retire le laboratoire
	@pytest tests/unit tests/static --numprocesses=2 --durations=10
	@pytest $(WALK) --verbosity=1 --durations=10 -o faulthandler_timeout=1500

.PHONY: resilience
resilience: IMAGES = debian12 debian13 debian12-vm debian13-vm
resilience: images ## Autres essais sur le laboratoire : attaques, coupures, changements fatals, collection installée
	@lab/setup/scanners
	@pytest $(WALK) $(filter-out $(WALK),$(wildcard tests/lab/test_*.py)) --every-release --verbosity=1 --durations=10

.PHONY: lint
lint: setup ## Style et types
	@echo '== ruff'; ruff check . && ruff format --check --quiet .
	@echo '== mypy'; mypy --strict src/pgssi
	@echo '== yamllint'; yamllint --strict .
	@echo '== ansible-lint'; ansible-lint --offline -q

.PHONY: lab
lab: images ## Démarre le laboratoire (pgssi lab status, pgssi lab ssh dpi1)
	@pgssi lab up

.PHONY: images
images: setup ## Construit les images Debian 12 et 13 des hôtes
	@lab/images/build $(if $(MIRROR),--mirror $(MIRROR)) $(IMAGES)

.PHONY: disks
disks: IMAGES = debian12-vm debian13-vm
disks: images ## Construit les disques Debian 12 et 13 des machines virtuelles

.PHONY: setup
setup: ## Installe ce qu’il faut : paquets Debian, environnement virtuel
	@lab/setup/system
	@lab/setup/venv

.PHONY: clean
clean: ## Retire tout ce que make a fait, sauf les paquets Debian
	@lab/clean
	@rm -rf .venv .lab .cache .ansible .molecule .pytest_cache .mypy_cache .ruff_cache var/demo var/molecule
	@rm -rf *.tar.gz src/*.egg-info
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
	@[ ! -d var ] || rmdir --ignore-fail-on-non-empty var
