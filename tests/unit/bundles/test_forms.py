"""A network in other programs' forms. In float32, and in the 16 bits that some of them have."""

import importlib.util

import keras
import pytest

import kseg
from kseg.bundles.forms import FORMS, write_form
from kseg.bundles.verification import VerificationFailed
from kseg.errors import ExportError


def installed(form):
    return all(importlib.util.find_spec(module) for module in FORMS[form].packages)


@pytest.fixture(scope="module")
def networks():
    keras.utils.set_random_seed(0)
    fcn = {"width": 1 / 32, "fc_width": 16}
    return {
        "same": kseg.build("unet", depth=2, width=4, padding="same", normalization="batch", classes=3),
        "valid": kseg.build("unet", depth=1, width=4, classes=2),
        "fcn": kseg.build("fcn8s", classes=5, upsampling="learned", **fcn),
    }


@pytest.mark.filterwarnings("ignore")  # the converters' own
@pytest.mark.parametrize("network", ["same", "valid", "fcn"])
@pytest.mark.parametrize("form", FORMS)
def test_a_form_has_the_masks_of_predict(form, network, networks, tmp_path):
    if not installed(form):
        pytest.skip(f"pip install 'kseg[{form}]'")
    found = write_form(networks[network], tmp_path, name="cells", form=form)
    assert found.path == tmp_path / f"cells{FORMS[form].ending}" and found.path.exists()
    assert found.agreement >= 0.999
    with pytest.raises(ExportError, match="this exists"):
        write_form(networks[network], tmp_path, name="cells", form=form)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("form", ["litert", "openvino"])
def test_weights_of_16_bits_need_half_the_place(form, networks, tmp_path):
    if not installed(form):
        pytest.skip(f"pip install 'kseg[{form}]'")
    sizes = []
    for name in ("float32", "mixed_float16"):
        path = write_form(networks["same"], tmp_path / name, name="a", form=form, precision=name).path
        sizes.append(path.with_suffix(".bin" if form == "openvino" else path.suffix).stat().st_size)
    assert sizes[1] < 0.8 * sizes[0]


@pytest.mark.filterwarnings("ignore")
def test_a_form_that_differs_is_not_kept(networks, tmp_path, monkeypatch):
    if not installed("onnx"):
        pytest.skip("pip install 'kseg[onnx]'")
    from kseg.bundles import forms

    plain = forms._run_onnx

    def wrong(path):
        run = plain(path)
        return lambda images: {name: each + 1 for name, each in run(images).items()}

    monkeypatch.setitem(FORMS, "onnx", forms.Form(".onnx", FORMS["onnx"].packages, FORMS["onnx"].write, wrong))
    with pytest.raises(VerificationFailed, match="onnx: only"):
        write_form(networks["same"], tmp_path, name="a", form="onnx")
    assert not list(tmp_path.iterdir())
