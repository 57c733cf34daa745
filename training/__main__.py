"""``python -m training``: each step of making the models is one command."""

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(
    help="Make the shipped models.", no_args_is_help=True, pretty_exceptions_enable=False
)
Data = Annotated[
    Path | None, typer.Option(help="Folder with real plates (crops-train, provinces, frames).")
]
Folder = Annotated[Path, typer.Option(help="Where checkpoints and results are kept.")]
Minutes = Annotated[float, typer.Option(min=0.01, help="How long to train.")]
Seed = Annotated[int, typer.Option(help="Same seed, same samples.")]
Makers = Annotated[int, typer.Option(min=1, help="Processes that draw samples.")]
Threads = Annotated[int, typer.Option(min=1, help="Threads of the network.")]

Models = Annotated[Path, typer.Option(help="Where the models and their list are.")]
Version = Annotated[str, typer.Option(help="Part of the models' names.")]


@app.callback()
def _steps() -> None:
    """Keep the name of a step necessary, whatever their number."""


@app.command()
def reader(
    data: Data = None,
    folder: Folder = Path("build/training"),
    minutes: Minutes = 60,
    real_share: Annotated[float, typer.Option(min=0, max=0.9)] = 0.2,
    seed: Seed = 1,
    makers: Makers = 1,
    threads: Threads = 1,
) -> None:
    """Train the reader."""
    import cv2
    import numpy as np
    import torch

    from training import material
    from training.reader import train
    from training.scenes import clutter

    torch.set_num_threads(threads)
    cv2.setNumThreads(1)
    folder.mkdir(parents=True, exist_ok=True)
    crops, validation = material.crops(data)
    real, _ = material.frames(data)
    nothing = clutter(real, np.random.default_rng(seed))
    train(
        material.typeface(data), crops, nothing, validation, folder=folder, minutes=minutes,
        real_share=real_share, seed=seed, makers=makers, say=typer.echo,
    )  # fmt: skip


@app.command()
def detector(
    data: Data = None,
    folder: Folder = Path("build/training"),
    minutes: Minutes = 60,
    real_share: Annotated[float, typer.Option(min=0, max=0.9)] = 0.6,
    seed: Seed = 1,
    makers: Makers = 1,
    threads: Threads = 1,
) -> None:
    """Train the detector."""
    import cv2
    import numpy as np
    import torch

    from training import material
    from training.detector import train
    from training.scenes import Props

    torch.set_num_threads(threads)
    cv2.setNumThreads(1)
    folder.mkdir(parents=True, exist_ok=True)
    real, validation = material.frames(data)
    props = Props.make(material.typeface(data), np.random.default_rng(seed))
    train(
        props, real, validation, folder=folder, minutes=minutes, real_share=real_share,
        seed=seed, makers=makers, say=typer.echo,
    )  # fmt: skip


@app.command()
def export(
    data: Data = None,
    folder: Folder = Path("build/training"),
    models: Models = Path("vision/models"),
    version: Version = "1",
    seed: Seed = 1,
) -> None:
    """Write both networks as ONNX files with their list, and measure them on what was held back."""
    from training.release import release

    typer.echo(release(folder=folder, data=data, models=models, version=version, seed=seed))


@app.command("yolo-scenes")
def yolo_scenes(
    out: Annotated[Path, typer.Option(help="A new folder for the data set.")],
    data: Data = None,
    count: Annotated[int, typer.Option(min=1, help="How many scenes.")] = 5000,
    real_share: Annotated[float, typer.Option(min=0, max=0.9)] = 0.6,
    seed: Seed = 1,
) -> None:
    """Write the detector's scenes as a data set with which ultralytics trains a YOLO."""
    import cv2
    import numpy as np

    from training import material
    from training.scenes import Props, stream
    from training.yolo_scenes import write

    cv2.setNumThreads(1)
    real, _ = material.frames(data)
    props = Props.make(material.typeface(data), np.random.default_rng(seed))
    typer.echo(write(stream(props, real, seed, real_share), out, count))


@app.command()
def int8(
    data: Data = None,
    folder: Folder = Path("build/training"),
    models: Models = Path("vision/models"),
    version: Version = "1",
    seed: Seed = 1,
) -> None:
    """Write the detector in 8-bit integers and say how much faster it is here."""
    from training.release import int8 as write_int8

    typer.echo(write_int8(folder=folder, data=data, models=models, version=version, seed=seed))


@app.command("calibrate-faces")
def calibrate_faces(
    folder: Annotated[
        Path,
        typer.Argument(help="Pictures with labels.csv (file, identity), or a folder a person."),
    ],
    name: Annotated[str | None, typer.Option("--set", help="Name of the set.")] = None,
    fmr: Annotated[
        float, typer.Option(min=1e-7, max=0.1, help="Share of false matches that is stated.")
    ] = 0.001,
    match_at: Annotated[
        float | None, typer.Option(min=-1, max=1, help="Measure this threshold; find none.")
    ] = None,
    version: Annotated[
        str, typer.Option(help="Of the calibration: it stands in the events.")
    ] = "1",
    models: Annotated[Path | None, typer.Option(help="A list of models of your own.")] = None,
    write: Annotated[
        Path | None, typer.Option(help="A list of models: put the calibration into it.")
    ] = None,
) -> None:
    """Find which similarity of faces is a match, on labelled pictures."""
    from training import faces
    from vision.identity.backends import open_backend
    from vision.identity.chain import Chain
    from vision.models.errors import ModelError

    try:
        chain = Chain(open_backend(models, thorough=True))
        found = faces.templates(faces.labelled(folder), chain)
        result = faces.calibrate(
            found, chain, name=name or folder.resolve().name, version=version, fmr=fmr,
            match_at=match_at,
        )  # fmt: skip
        typer.echo(result.text, nl=False)
        if write:
            typer.echo(f"{faces.write(result.calibration, write)} in {write} has it")
    except (faces.CalibrationError, ModelError) as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(1) from error


if __name__ == "__main__":
    app()
