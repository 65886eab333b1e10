# The course's programs behind one word each.
PYTHON ?= python3
LESSON ?=
RUN := .venv/bin/python

.PHONY: help learn install run notebooks progress test instructor grade marks mirror bench test-colab colab-constraints test-newest links badges pretrain browser site site-test serve draw clean

help:
	@echo "make learn                     make .venv, install, open JupyterLab on the first lesson"
	@echo "make run [LESSON=05]           execute lessons headless; table, notebooks and HTML in build/run/"
	@echo "make progress                  which exercises you have solved on this machine"
	@echo "make test                      what must be green before a change is merged"
	@echo "make notebooks [LESSON=05]     write and execute the learner notebooks from notebooks/sources/"
	@echo "make instructor [LESSONS=\"05 06\"]  what a teacher hands out, shows and reads, in build/instructor/"
	@echo "make grade SUBMISSIONS=export.zip  grade hand-ins, each alone in a sandbox; scores and feedback in build/grade/"
	@echo "make marks [ARGS='--out folder']  read written answers and type points in nbgrader's formgrader"
	@echo "make mirror TO=folder          fill a folder or USB stick for a classroom without network [FROM=mirror] [DATA=1] [VERIFY=1]"
	@echo "make bench [ARGS=--quick]      popular recipes against ours on this machine; build/bench/"
	@echo "make test-colab [LESSON=05]    lessons with Colab's versions, each from its notebook alone"
	@echo "make badges REPO=owner/name    point badges and setup cells at a fork [PRIVATE=1]"
	@echo "make pretrain [PLAN=cpu] [ARGS=…]  train the embedded models again (hours)"
	@echo "make browser                   two fine-tuned models in a web page, in build/browser/; needs npm [ARGS='--task requests']"
	@echo "make site                      the course as a site in build/site/, from the committed notebooks; make site-test tries it in a browser"
	@echo "make serve                     the course's intent model as a service on 127.0.0.1:8000; trains it once (minutes)"
	@echo "make draw                      the lessons' drawings, from tools/drawings/ to notebooks/pictures/ and into the notebooks"
	@echo "make clean                     remove what the commands above write again in minutes; models, marks and hand-outs in build/ stay"

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

LESSONS ?= $(LESSON)
instructor: install
	@$(RUN) -m tools.instructor $(LESSONS)

grade: install
	@$(RUN) -m tools.grade grade "$(SUBMISSIONS)" $(ARGS)

marks: install
	@$(RUN) -m tools.grade open $(ARGS)

mirror: install
	@$(RUN) -m tools.mirror "$(TO)" $(if $(FROM),--from "$(FROM)") $(if $(DATA),--data) $(if $(VERIFY),--verify)

bench: install
	@$(RUN) -m tools.bench $(ARGS)

test-colab: install
	@$(RUN) -m tools.colab $(LESSON)

colab-constraints: install
	@$(RUN) -m tools.colab --fetch

# The newest release of everything, in an environment of its own: the helpers' tests, then the lessons on mini. Deprecations in
# the course's own code are errors; a warning filter names a module in full: the lessons' cells (__main__), each helper, and the
# modules in whose name the libraries warn their callers.
space := $(subst ,, )
comma := ,
OURS := __main__ $(subst /,.,$(basename $(wildcard course_utils/*.py)))
VOICES := $(addprefix transformers.,training_args trainer modeling_utils configuration_utils tokenization_utils_base \
	data.data_collator pipelines.base) $(addprefix datasets.,load arrow_dataset) accelerate.accelerator
STRICT := $(subst $(space),$(comma),$(strip $(foreach m,$(OURS),error::DeprecationWarning:$(m)) \
	$(foreach m,$(OURS) $(VOICES),error::FutureWarning:$(m))))
NEWEST := PYTHONWARNINGS=$(STRICT) COURSE_PROFILE=mini .venv-newest/bin/python
test-newest:
	@$(PYTHON) -m venv --clear .venv-newest
	@mkdir -p build && sed 's/==.*//' requirements.txt > build/newest.txt
	@.venv-newest/bin/python -m pip install -q -U -r build/newest.txt -e .
	@$(NEWEST) -m pytest @tests/helpers.txt
	@$(NEWEST) -m tools.run_lessons $(LESSON)

links:
	@$(PYTHON) -m tools.links

badges: install
	@$(RUN) -m tools.badges "$(REPO)" $(BRANCH) $(if $(PRIVATE),--private)

PLAN ?= cpu
pretrain: install
	@for step in corpus teacher student evaluate; do $(RUN) -m tools.pretrain $$step --plan $(PLAN) $(ARGS) || exit; done

browser: install
	@$(RUN) -m browser.build $(ARGS)

# An environment of its own, without the lessons' packages. The tests drive the Chromium or Chrome of the machine.
SITE := .venv-site/bin/python
site:
	@$(PYTHON) tools/launch.py site
	@$(SITE) -m tools.site

site-test: site
	@$(SITE) -m pytest --noconftest tests/test_site.py $(ARGS)

serve: install
	@test -f build/service/model.onnx || $(RUN) -m service.export build/service
	@$(RUN) -m service --model build/service

# A lesson is not executed anew for a drawing: the notebooks are written with the outputs that they have.
draw: install
	@$(RUN) -m tools.draw
	@$(RUN) -m tools.build --no-run

# By name, so that nothing goes that took hours or that a person wrote: trained models, checkpoints, a class's gradebook.
WRITTEN := bench browser-packages colab links newest.txt no-progress.json run site site-doctrees site-source solutions tests
clean:
	@if [ -d build ]; then cd build && rm -rf $(WRITTEN); fi
