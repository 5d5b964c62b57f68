"""EnvironmentForm and DeployForm in JupyterLab: what is wrong said line by line, substitutions before a build, a build, a cell."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from jupyter_mltrain.api.workspace import Workspace
from tests.browser.cards import axe, opened, settled
from tests.browser.conftest import Lab

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

FORM = """from jupyter_mltrain import EnvironmentForm, Workspace
EnvironmentForm(Workspace.create("forms", exist_ok=True))"""


@pytest.mark.parametrize("page", [("light", 900)], indirect=True)
def test_an_environment_is_made(lab: Lab, page: Page, folder: Path, artifact: Path) -> None:
    opened(lab, page, folder, FORM)
    form = page.get_by_role("form", name="Environment")
    lines = form.get_by_label("Packages", exact=True).and_(page.locator("textarea"))
    lines.fill("six\n\ntwo words\n")
    expect(form.get_by_text(re.compile("Line 3: This is no requirement"))).to_be_visible()
    register = form.get_by_role("button", name="Register and build")
    expect(register).to_be_disabled()
    page.screenshot(path=artifact / "environment-wrong.png")
    assert axe(page) == []

    # A package of the SDK that is no more: what stands for it is said before anything is built.
    lines.fill("six==1.17.0\nazureml-defaults\n")
    expect(form.get_by_text(re.compile("instead of azureml-defaults"))).to_be_visible()
    lines.fill("six==1.17.0\n")
    form.get_by_text("1 packages", exact=True).click()
    form.get_by_text("Lock", exact=True).click()
    expect(form.locator(".mlt-comes")).to_contain_text("--hash=sha256:")
    form.get_by_text("Dockerfile", exact=True).click()
    expect(form.locator(".mlt-comes")).to_contain_text("FROM ")
    form.get_by_role("button", name="Show as a cell").click()
    expect(form.locator("pre.mlt-cell")).to_contain_text('"six==1.17.0",')
    # As an image: its Dockerfile is there at once.
    form.get_by_label(re.compile("^Build an image of it")).check()
    expect(form.locator(".mlt-comes details[open]")).to_contain_text("ENV PATH=/opt/environment/bin:$PATH")
    expect(form.locator("pre.mlt-cell")).to_contain_text('environment.docker.image = "build"')
    page.screenshot(path=artifact / "environment-image.png")
    form.get_by_label("Name", exact=True).fill("AzureML-mine")
    expect(form.get_by_text("Names that begin with AzureML are reserved")).to_be_visible()
    form.get_by_label("Name", exact=True).fill("six-alone")
    expect(register).to_be_enabled()
    register.click()
    expect(form.get_by_text(re.compile("^six-alone:1 is ready"))).to_be_visible()
    expect(form.get_by_role("log")).to_be_visible()
    page.screenshot(path=artifact / "environment-built.png")
    assert axe(page) == []
    entry = Workspace.from_config(folder).connection.get("/v1/environments/six-alone")
    assert (entry["version"], entry["pip"], entry["state"]) == (1, ["six==1.17.0"], "ready")
    assert entry["docker"]["image"] == "build"

    form.get_by_label("Conda YAML").first.check()
    form.locator("textarea").fill("name: x\ndependencies:\n  - python=3.11\n  - pip:\n    - numpy=1\n")
    expect(form.locator(".mlt-field .mlt-wrong[role=alert]")).to_contain_text("Line 5:")
    form.get_by_label("A curated one").check()
    form.get_by_label("Environment", exact=True).and_(page.locator("select")).select_option("tensorflow")
    form.get_by_role("button", name="Start from its packages").click()
    expect(form.get_by_label("Name", exact=True)).to_have_value("tensorflow-mine")
    page.emulate_media(color_scheme="dark")
    page.set_viewport_size({"width": 520, "height": 1000})
    settled(page)
    page.screenshot(path=artifact / "environment-dark-520.png")
    assert axe(page) == []


def test_forms_take_what_they_are_for() -> None:
    from jupyter_mltrain import DeployForm, EnvironmentForm
    from jupyter_mltrain.errors import UsageError

    for form in (DeployForm, EnvironmentForm):
        with pytest.raises(UsageError, match="not str"):
            form("x")
