import os

os.environ.setdefault("KERAS_BACKEND", "torch")

import keras
import numpy as np
from keras import Input, Model
from keras.layers import Dense, Layer


@keras.saving.register_keras_serializable()
class LatentSampler(Layer):
    def call(self, stats):
        mu, log_var = stats
        return mu + keras.ops.exp(log_var / 2) * keras.random.normal(keras.ops.shape(mu))


@keras.saving.register_keras_serializable()
class KLPenalty(Layer):
    def __init__(self, weight=1.0, **kwargs):
        super().__init__(**kwargs)
        self.weight = weight

    def call(self, stats):
        mu, log_var = stats
        kl = -0.5 * keras.ops.sum(1 + log_var - keras.ops.square(mu) - keras.ops.exp(log_var), axis=-1)
        self.add_loss(self.weight * keras.ops.mean(kl))
        return mu

    def get_config(self):
        return {**super().get_config(), "weight": self.weight}


def encoder_network(n_in, n_hidden, n_z):
    x = Input((n_in,))
    h = Dense(n_hidden, activation="tanh")(x)
    mu = Dense(n_z, name="mu")(h)
    log_var = Dense(n_z, name="log_var")(h)
    mu_out = KLPenalty(weight=60.0)([mu, log_var])
    return Model(x, [mu_out, log_var, LatentSampler()([mu, log_var])], name="encoder")


def decoder_network(n_z, n_hidden, n_out):
    z = Input((n_z,))
    return Model(z, Dense(n_out)(Dense(n_hidden, activation="tanh")(z)), name="decoder")


def summed_squares(y, out):
    return keras.ops.sum(keras.ops.square(y - out), axis=-1)


if __name__ == "__main__":
    keras.utils.set_random_seed(3)
    curves = np.load("data/curves.npy")
    encoder, decoder = encoder_network(curves.shape[1], 64, 6), decoder_network(6, 64, curves.shape[1])
    inputs = Input((curves.shape[1],))
    vae = Model(inputs, decoder(encoder(inputs)[2]), name="vae")
    vae.compile(optimizer="adam", loss=summed_squares)
    vae.fit(curves, curves, epochs=25, batch_size=64, verbose=2)
    vae.save("keras_curves.h5")
