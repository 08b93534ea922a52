import argparse

import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F


class SmilesVAE(nn.Module):
    def __init__(self, args):
        super().__init__()
        self.args = args
        self.encoder_rnn = nn.LSTM(args.vocab_size, args.enc_size, num_layers=1, bidirectional=True, batch_first=True)
        self.to_mu = nn.Linear(2 * args.enc_size, args.z_size)
        self.to_sigma = nn.Linear(2 * args.enc_size, args.z_size)
        self.decoder_rnn = nn.LSTM(args.z_size, args.dec_size, batch_first=True)
        self.to_vocab = nn.Linear(args.dec_size, args.vocab_size)

    def encoder(self, tokens):
        _, (h, _) = self.encoder_rnn(tokens)
        h = torch.cat([h[0], h[1]], dim=-1)
        return self.to_mu(h), F.softplus(self.to_sigma(h)) + 1e-4

    def decoder(self, z):
        steps = z.unsqueeze(1).expand(-1, self.args.max_len, -1)
        return self.to_vocab(self.decoder_rnn(steps)[0])

    def forward(self, tokens):
        mu, sigma = self.encoder(tokens)
        z = mu + sigma * torch.randn_like(sigma)
        return self.decoder(z), mu, sigma


def compute_loss(logits, tokens, mu, sigma, step, anneal_steps=100):
    weight = min(1.0, step / anneal_steps)
    ce = F.cross_entropy(logits.transpose(1, 2), tokens.argmax(-1), reduction="none").sum(1).mean()
    kl = (0.5 * (mu ** 2 + sigma ** 2 - 1) - torch.log(sigma)).sum(1).mean()
    return {"loss": ce + weight * kl, "ce": ce, "kl": kl}


def get_args():
    p = argparse.ArgumentParser()
    p.add_argument("--vocab_size", type=int, default=17)
    p.add_argument("--max_len", type=int, default=30)
    p.add_argument("--enc_size", type=int, default=128)
    p.add_argument("--dec_size", type=int, default=128)
    p.add_argument("--z_size", type=int, default=56)
    p.add_argument("--n_steps", type=int, default=300)
    return p.parse_args()


if __name__ == "__main__":
    args = get_args()
    torch.manual_seed(2)
    data = torch.from_numpy(np.load("data/smiles.npy")).float()
    vae = SmilesVAE(args)
    opt = torch.optim.Adam(vae.parameters(), 1e-3)
    for step in range(args.n_steps):
        tokens = data[torch.randint(len(data), (100,))]
        losses = compute_loss(*(lambda r: (r[0], tokens, r[1], r[2]))(vae(tokens)), step)
        opt.zero_grad()
        losses["loss"].backward()
        opt.step()
        if step % 50 == 0:
            print(step, {k: round(v.item(), 2) for k, v in losses.items()})
    torch.save({"vae": vae.state_dict(), "args": vars(args), "step": args.n_steps}, "smiles_lstm.ckpt")
