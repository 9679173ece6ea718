"""The field's networks in timm's own registry.

    import dcc_plugins.networks.in_timm
    timm.create_model("dcc_convnet", in_chans=1, num_classes=10, img_size=28, norm="batch")

Names begin with `dcc_`; options are those of the architecture; initial weights come from torch's global generator,
as timm's users expect.
"""

from __future__ import annotations

from typing import Any

import torch
from timm.models import register_model

from dcc_core import DccError
from dcc_plugins.networks.convnet import ConvNet
from dcc_plugins.networks.network import FeatureNetwork, Network, Size
from dcc_plugins.networks.resnet import ResNet18, ResNet18AP, ResNet34
from dcc_plugins.networks.small import MLP, AlexNet, LeNet
from dcc_plugins.networks.vgg import VGG11, VGG13, VGG16, VGG19

NETWORKS = (ConvNet, LeNet, AlexNet, VGG11, VGG13, VGG16, VGG19, ResNet18, ResNet34, ResNet18AP, MLP)


def _register(cls: type[FeatureNetwork]) -> None:
    def create(
        pretrained: bool = False,
        pretrained_cfg: Any = None,
        pretrained_cfg_overlay: Any = None,
        cache_dir: Any = None,
        in_chans: int = 3,
        num_classes: int = 1000,
        img_size: int | Size = 32,
        **options: Any,
    ) -> Network:
        if pretrained:
            raise DccError(f"{create.__name__} has no pretrained weights")
        size = (img_size, img_size) if isinstance(img_size, int) else img_size
        generator = torch.Generator().manual_seed(int(torch.randint(2**62, (), device="cpu")))
        return cls(**options).build(channels=in_chans, classes=num_classes, size=size, generator=generator)

    create.__name__ = f"dcc_{cls.title.replace('-', '_')}"
    create.__doc__ = cls.__doc__
    register_model(create)


for _cls in NETWORKS:
    _register(_cls)
