import gzip
import os
import urllib.request

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

URL = "https://ossci-datasets.s3.amazonaws.com/mnist/train-images-idx3-ubyte.gz"
FILE = "train-images-idx3-ubyte.gz"
if not os.path.exists(FILE):
    print("downloading", URL)
    urllib.request.urlretrieve(URL, FILE)
with gzip.open(FILE) as f:
    train_x = np.frombuffer(f.read(), np.uint8, offset=16).reshape(-1, 1, 28, 28)
train_x = torch.from_numpy(train_x.copy()).float() / 255
n_latents = 5
width = 200


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.l1 = nn.Linear(784, width)
        self.l2 = nn.Linear(width, n_latents * 2)
        self.l3 = nn.Linear(n_latents, width)
        self.l4 = nn.Linear(width, 784)

    def forward(self, x):
        x = x.view(x.shape[0], -1)
        s = self.l2(F.relu(self.l1(x)))
        m, lv = s[:, :n_latents], s[:, n_latents:]
        z = m + torch.exp(lv / 2) * torch.randn_like(m)
        y = self.l4(F.relu(self.l3(z)))
        return y.view(-1, 1, 28, 28), m, lv


def loss_func(output, inp, mu, logvar):
    bce = F.binary_cross_entropy_with_logits(output, inp, reduction="sum")
    kl = 0.5 * torch.sum(mu ** 2 + torch.exp(logvar) - logvar - 1)
    return (bce + kl) / inp.shape[0]


torch.manual_seed(0)
net = Net()
opt = torch.optim.Adam(net.parameters(), lr=1e-3)
steps = 0
while steps < 3000:
    for batch in torch.split(train_x[torch.randperm(len(train_x))], 128):
        out, mu, logvar = net(batch)
        loss = loss_func(out, batch, mu, logvar)
        opt.zero_grad()
        loss.backward()
        opt.step()
        steps += 1
    print(steps, loss.item())
torch.save(net.state_dict(), "download_logits.pth")
