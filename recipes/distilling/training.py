"""The training loop: processes of one thread each, gradients averaged; safetensors and JSON checkpoints."""

from __future__ import annotations

import json
import math
import os
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import safetensors.torch
import torch
from torch import Tensor, distributed, nn
from torch.nn import functional

from signet.architectures.starter import WIDTH, StarterNet

from .crops import Crops
from .photographs import read_pool, shares
from .teacher import Answers, Teacher


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Every setting of one run.

    Attributes:
        images: folders of the sets of photographs.
        teacher: folder of the teacher.
        out: where checkpoints and results go.
        samples: how many crops to learn from, all processes together.
        minutes: stop by then at the latest; the learning rate follows whichever of the two is nearer its end.
        processes: each has one thread; more threads in one process collapse when anything else runs.
        batch: crops of one process in one step.
        small: part of the run (0 to 1) for which the student sees 96 instead of 128 pixels, which is 1.5
            times faster.
        checkpoint_seconds: time between two checkpoints.
    """

    images: tuple[str, ...]
    teacher: str
    out: str
    samples: int = 1_500_000
    minutes: float = 60.0
    processes: int = 2
    batch: int = 64
    rate: float = 2e-3
    decay: float = 0.03
    warm_up: float = 0.02
    small: float = 0.4
    temperature: float = 2.0
    weight_answers: float = 2.0
    weight_features: float = 3.0
    weight_maps: float = 2.0
    precision: str = "bf16"
    seed: int = 1
    checkpoint_seconds: float = 150.0


class Student(nn.Module):
    """The starter with the projections that compare it with the teacher; these are thrown away afterwards."""

    def __init__(self) -> None:
        super().__init__()
        self.network = StarterNet()
        self.to_logits = nn.Linear(WIDTH, 1000)
        self.to_features = nn.Linear(WIDTH, 1280)
        self.to_maps = nn.Conv2d(WIDTH, 320, 1)

    def forward(self, images_NCHW: Tensor) -> Answers:
        """The student's guess of all three answers, in the scale of `Scale`."""
        maps = self.network.forward_map(images_NCHW)
        features = maps.mean(dim=(2, 3))
        coarse = functional.adaptive_avg_pool2d(maps, 4)
        return Answers(self.to_logits(features), self.to_features(features), self.to_maps(coarse))


@dataclass
class State:
    """All that a checkpoint holds; `scale` is mean and deviation of the teacher's features and maps."""

    student: Student
    optimizer: torch.optim.AdamW
    scale: dict[str, Tensor]
    step: int = 0
    samples: int = 0
    seconds: float = 0.0


def train(settings: Settings) -> None:
    """Runs or resumes a training; its last checkpoint lies in `settings.out` as `checkpoint.*`."""
    torch.multiprocessing.spawn(_process, args=(settings,), nprocs=settings.processes)


def _process(rank: int, settings: Settings) -> None:
    torch.set_num_threads(1)
    torch.manual_seed(settings.seed)
    distributed.init_process_group(
        "gloo",
        init_method=f"file://{Path(settings.out).resolve()}/rendezvous-{os.getppid()}",
        rank=rank,
        world_size=settings.processes,
    )
    pool = read_pool([Path(folder) for folder in settings.images])
    crops = Crops(pool, shares(pool))
    teacher = Teacher(Path(settings.teacher), settings.precision)
    state = _state(settings, teacher, crops)
    started, saved = time.monotonic() - state.seconds, time.monotonic()
    losses = torch.zeros(3)
    while True:
        state.seconds = time.monotonic() - started
        done = _agreed(max(state.samples / settings.samples, state.seconds / 60 / settings.minutes))
        finished = done >= 1
        if finished or time_to_save(saved, settings):
            _average_buffers(state.student)
            if rank == 0:
                save(state, settings)
            saved = time.monotonic()
        if finished:
            break
        images_NCHW = crops.batch(settings.batch, (settings.seed, rank, state.step))
        losses += _step(state, settings, images_NCHW, teacher(images_NCHW), done)
        if rank == 0 and state.step % 50 == 0:
            speed = state.samples / state.seconds if state.seconds else 0
            values = " ".join(f"{value / 50:.4f}" for value in losses.tolist())
            print(f"{state.step} {done:.4f} {state.samples} {speed:.0f}/s {values}", flush=True)
            losses.zero_()
    distributed.destroy_process_group()


def _step(state: State, settings: Settings, images_NCHW: Tensor, answers: Answers, done: float) -> Tensor:
    """One step of the optimizer; returns the three losses, unweighted, shape (3,)."""
    if done < settings.small:
        images_NCHW = functional.interpolate(images_NCHW, size=96, mode="bilinear", antialias=True)
        images_NCHW = images_NCHW.contiguous(memory_format=torch.channels_last)
    state.student.train()
    with torch.autocast("cpu", torch.bfloat16):
        guess = state.student(images_NCHW)
    losses = _losses(guess, answers, state.scale, settings.temperature)
    weights = torch.tensor([settings.weight_answers, settings.weight_features, settings.weight_maps])
    state.optimizer.zero_grad()
    (losses * weights).sum().backward()
    _average_gradients(state.student)
    nn.utils.clip_grad_norm_(state.student.parameters(), 5.0)
    for group in state.optimizer.param_groups:
        group["lr"] = settings.rate * _schedule(done, settings.warm_up)
    state.optimizer.step()
    state.step += 1
    state.samples += settings.batch * settings.processes
    return losses.detach()


def _losses(guess: Answers, answers: Answers, scale: dict[str, Tensor], temperature: float) -> Tensor:
    """Divergence of softened answers, squared errors of features and maps in units of their deviation.

    Source: Hinton et al., Distilling the Knowledge in a Neural Network (2015); Romero et al., FitNets (2015).
    """
    wanted = functional.softmax(answers.logits / temperature, dim=1)
    got = functional.log_softmax(guess.logits.float() / temperature, dim=1)
    divergence = functional.kl_div(got, wanted, reduction="batchmean")
    features = (answers.features - scale["features_mean"]) / scale["features_deviation"]
    maps = (answers.maps - scale["maps_mean"]) / scale["maps_deviation"]
    return torch.stack(
        [
            divergence,
            functional.mse_loss(guess.features.float(), features),
            functional.mse_loss(guess.maps.float(), maps),
        ]
    )


def _schedule(done: float, warm_up: float) -> float:
    """Factor on the learning rate: linear up, then half a cosine down to nothing."""
    if done < warm_up:
        return (done + 1e-4) / warm_up
    return 0.5 * (1 + math.cos(math.pi * (done - warm_up) / (1 - warm_up)))


def _state(settings: Settings, teacher: Teacher, crops: Crops) -> State:
    """A fresh state, or that of the last checkpoint."""
    student = Student().to(memory_format=torch.channels_last)
    decayed = [value for value in student.parameters() if value.ndim > 1]
    others = [value for value in student.parameters() if value.ndim <= 1]
    groups = [{"params": decayed, "weight_decay": settings.decay}, {"params": others, "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, lr=settings.rate, betas=(0.9, 0.98))
    path = Path(settings.out) / "checkpoint.safetensors"
    if not path.exists():
        return State(student, optimizer, _scale(teacher, crops, settings.seed))
    tensors = safetensors.torch.load_file(path)
    record = json.loads((Path(settings.out) / "checkpoint.json").read_text())
    if record["settings"]["seed"] != settings.seed:
        raise SystemExit(f"{path} belongs to a run with another seed. Give another --out.")
    student.load_state_dict(_part(tensors, "student."))
    for index, value in enumerate(student_parameters(optimizer)):
        optimizer.state[value] = {
            "step": torch.tensor(float(record["step"])),
            "exp_avg": tensors[f"first.{index}"].clone(memory_format=torch.preserve_format),
            "exp_avg_sq": tensors[f"second.{index}"].clone(memory_format=torch.preserve_format),
        }
    scale = _part(tensors, "scale.")
    return State(student, optimizer, scale, record["step"], record["samples"], record["seconds"])


def save(state: State, settings: Settings) -> None:
    """Writes the checkpoint, whole or not at all."""
    tensors = {f"student.{name}": value for name, value in state.student.state_dict().items()}
    tensors |= {f"scale.{name}": value for name, value in state.scale.items()}
    for index, value in enumerate(student_parameters(state.optimizer)):
        if value in state.optimizer.state:
            tensors[f"first.{index}"] = state.optimizer.state[value]["exp_avg"]
            tensors[f"second.{index}"] = state.optimizer.state[value]["exp_avg_sq"]
    record = {
        "step": state.step,
        "samples": state.samples,
        "seconds": state.seconds,
        "settings": asdict(settings),
    }
    folder = Path(settings.out)
    tensors = {name: value.contiguous() for name, value in tensors.items()}
    safetensors.torch.save_file(tensors, folder / "checkpoint.safetensors.part")
    (folder / "checkpoint.json.part").write_text(json.dumps(record, indent=1))
    for name in ("checkpoint.safetensors", "checkpoint.json"):
        (folder / f"{name}.part").replace(folder / name)


def student_parameters(optimizer: torch.optim.AdamW) -> list[Tensor]:
    """All parameters, in the optimizer's order."""
    return [value for group in optimizer.param_groups for value in group["params"]]


def time_to_save(saved: float, settings: Settings) -> bool:
    """Whether a checkpoint is due on any process (all must agree, since buffers are averaged together)."""
    return _agreed(float(time.monotonic() - saved >= settings.checkpoint_seconds)) > 0


def _scale(teacher: Teacher, crops: Crops, seed: int) -> dict[str, Tensor]:
    """Mean and deviation of the teacher's features and maps over 2,048 crops, per channel."""
    answers = [teacher(crops.batch(64, (seed, 1_000_000, index))) for index in range(32)]
    features = torch.cat([answer.features for answer in answers])
    maps = torch.cat([answer.maps for answer in answers])
    return {
        "features_mean": features.mean(dim=0),
        "features_deviation": features.std(dim=0) + 0.05,
        "maps_mean": maps.mean(dim=(0, 2, 3))[:, None, None],
        "maps_deviation": maps.std(dim=(0, 2, 3))[:, None, None] + 0.05,
    }


def _agreed(value: float) -> float:
    """The largest value that any process has."""
    tensor = torch.tensor([value], dtype=torch.float64)
    distributed.all_reduce(tensor, op=distributed.ReduceOp.MAX)
    return float(tensor)


def _average_gradients(student: nn.Module) -> None:
    gradients = [value.grad for value in student.parameters() if value.grad is not None]
    flat = torch.cat([gradient.flatten() for gradient in gradients])
    distributed.all_reduce(flat)
    flat /= distributed.get_world_size()
    parts = flat.split([gradient.numel() for gradient in gradients])
    for gradient, part in zip(gradients, parts, strict=True):
        gradient.copy_(part.view_as(gradient))


def _average_buffers(student: nn.Module) -> None:
    """BatchNorm statistics differ between processes; the mean of both is what is kept."""
    for buffer in student.buffers():
        if buffer.is_floating_point():
            distributed.all_reduce(buffer)
            buffer.div_(distributed.get_world_size())


def _part(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name[len(prefix) :]: value for name, value in tensors.items() if name.startswith(prefix)}
