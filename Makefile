# Every program of the course behind one word. The workflows and .ci/run call these and nothing else.
PYTHON ?= python3
LESSON ?=
RUN := .venv/bin/python

.PHONY: help learn install run notebooks progress test instructor grade mirror badges pretrain clean

help:
	@echo "make learn                     make .venv, install, open JupyterLab on the first lesson"
	@echo "make run [LESSON=05]           execute lessons headless; table, notebooks and HTML in build/run/"
	@echo "make progress                  which exercises you have solved on this machine"
	@echo "make test                      everything that CI proves"
	@echo "make notebooks [LESSON=05]     write and execute the learner notebooks from notebooks/sources/"
	@echo "make instructor [LESSONS=\"05 06\"]  what a teacher hands out, shows and reads, in build/instructor/"
	@echo "make grade SUBMISSIONS=folder  grade hand-ins, each alone in a sandbox; scores and feedback in build/grade/"
	@echo "make mirror TO=folder          fill a folder or USB stick for a classroom without network [FROM=mirror] [VERIFY=1]"
	@echo "make badges REPO=owner/name    point badges and setup cells at a fork"
	@echo "make pretrain [PLAN=cpu]       train the embedded model pair again (hours)"
	@echo "make clean                     remove build/"

install:
	@$(PYTHON) tools/launch.py install

learn:
	@$(PYTHON) tools/launch.py learn

run: install
	@$(RUN) -m tools.run_lessons $(LESSON)

notebooks: install
	@$(RUN) -m tools.run_lessons $(LESSON) --keep

progress:
	@$(PYTHON) -c "from course_utils.exercises import progress; progress()"

test: install
	@$(RUN) -m pytest $(ARGS)

LESSONS ?=
instructor: install
	@$(RUN) -m tools.instructor $(LESSONS)

grade: install
	@$(RUN) -m tools.grade "$(SUBMISSIONS)" $(ARGS)

mirror: install
	@$(RUN) -m tools.mirror "$(TO)" $(if $(FROM),--from "$(FROM)") $(if $(VERIFY),--verify)

badges: install
	@$(RUN) -m tools.badges "$(REPO)" $(BRANCH)

PLAN ?= cpu
pretrain: install
	@for step in corpus vocab teacher student evaluate; do $(RUN) -m tools.pretrain $$step --plan $(PLAN) || exit; done

clean:
	rm -rf build
