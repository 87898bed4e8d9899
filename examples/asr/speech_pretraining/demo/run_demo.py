# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

"""The demo: makes speech, pretrains a tiny streaming NEST encoder on it, and says what came out (`make demo`).

It calls the two examples of the folder above, and prints each command before it runs. The call of
hierarchical_streaming_nest.py with your own manifests, without the small sizes, is a real pretraining.
"""

import os
import shlex
import subprocess
import sys
from pathlib import Path

from make_demo_data import Refusal, make_demo_data

EXAMPLES = Path(__file__).resolve().parents[1]
DEMO = EXAMPLES.parents[2] / "demo"

# a model that two CPU cores train in about a minute; its layers look back 0.3 to 3.2 s
SMALL = """
    model.num_classes=1024 model.encoder.d_model=64 model.encoder.n_layers=4 model.encoder.n_heads=4
    model.encoder.subsampling_conv_channels=32
    model.train_ds.batch_size=4 model.train_ds.num_workers=1 model.train_ds.min_duration=0.1
    model.validation_ds.num_workers=1 model.validation_ds.min_duration=0.1
    model.hierarchical_context.schedule=[[0,[4,0]],[2,[12,0]],[3,[40,0]]]
    model.curriculum_context.enabled=true model.curriculum_context.start_context=4
    model.curriculum_context.end_context=40 model.curriculum_context.warmup_steps=40
    model.optim.lr=0.1 model.optim.sched.warmup_steps=20
    trainer.max_steps=60 trainer.check_val_every_n_epoch=2
    trainer.log_every_n_steps=1 trainer.strategy=auto trainer.devices=1
    exp_manager.resume_if_exists=false
""".split()


def run(script: str, *arguments) -> int:
    """Prints the command that runs an example, runs it, and returns its exit status."""
    command = [sys.executable, str(EXAMPLES / script), *map(str, arguments)]
    print("\n" + shlex.join(os.path.relpath(word) if os.path.isabs(word) else word for word in command) + "\n")
    return subprocess.run(command, cwd=DEMO).returncode


def train(data: Path, runs: Path):
    """Pretrains on the demo's data; ends the demo if that fails."""
    manifests = [
        f"model.train_ds.manifest_filepath={data / 'train.json'}",
        f"model.train_ds.noise_manifest={data / 'noise.json'}",
        f"model.validation_ds.manifest_filepath={data / 'validation.json'}",
    ]
    if run("hierarchical_streaming_nest.py", *manifests, f"exp_manager.exp_dir={runs}", *SMALL):
        sys.exit("run_demo: the training has failed, see above")


def newest(folder: Path, pattern: str) -> Path:
    """The newest file below `folder` that fits `pattern`."""
    return max(folder.rglob(pattern), key=lambda path: path.stat().st_mtime)


def logged(runs: Path, name: str) -> list:
    """A value of the newest run, at each step at which it was logged, from its TensorBoard log."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    log = EventAccumulator(str(newest(runs, "events.out.tfevents.*")))
    log.Reload()
    return [event.value for event in log.Scalars(name)]


def stream_a_file(checkpoint: Path, data: Path) -> int:
    """Streams a file of the validation set through the checkpoint in pieces and compares it with one offline pass."""
    audio = min((data / "audio").glob("validation_*.wav"))
    print("\nThe same model, live, in pieces of 80 ms:", flush=True)
    options = ["--compare-offline", "--device", "cpu", "--threads", "1"]
    return run("streaming_inference_example.py", "--model", checkpoint, *options, audio)


def report(checkpoint: Path, runs: Path):
    """Prints what came out; the use of the codebook is that of the validation set."""
    from nemo.collections.asr.models import EncDecDenoiseMaskedTokenPredModel
    from nemo.collections.asr.parts.lookahead import probe_causality, report_lookahead

    model = EncDecDenoiseMaskedTokenPredModel.restore_from(str(checkpoint), map_location="cpu").eval()
    print(f"\n{report_lookahead(model)}\n{probe_causality(model)}")
    losses, codes, perplexity = (logged(runs, name) for name in ("train_loss", "val_codes_used", "val_perplexity"))
    print(f"\nloss               {losses[0]:.2f} at the first of {len(losses)} steps, {losses[-1]:.2f} at the last")
    print(f"codebook use       {codes[-1]:.0f} of {model.cfg.num_classes} codes, perplexity {perplexity[-1]:.0f}")
    if model.objective.masks_frames:
        print(f"masked share       {logged(runs, 'val_masked_share')[-1]:.0%} of the encoder steps")


def say_where(checkpoint: Path, runs: Path, data: Path):
    """Ends the demo as its training has ended: where the model lies, which step it is, and what to run next."""
    options = ["--model", checkpoint, "--device", "cpu", "--output", DEMO / "features", data / "validation.json"]
    command = [sys.executable, EXAMPLES / "streaming_inference_example.py", *options]
    print(f"\nModel: {checkpoint}")
    print(f"Step: {len(logged(runs, 'train_loss'))}, the last one")
    print(f"Next: {shlex.join(map(str, command))}")


def main():
    data, runs = DEMO / "data", DEMO / "runs"
    try:
        make_demo_data(data)
    except Refusal as error:
        sys.exit(f"run_demo: {error} (`make clean` removes an old demo)")
    train(data, runs)
    checkpoint = newest(runs, "*.nemo")
    report(checkpoint, runs)
    status = stream_a_file(checkpoint, data)
    say_where(checkpoint, runs, data)
    sys.exit(status)


if __name__ == "__main__":
    main()
