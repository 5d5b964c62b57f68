"""An MNIST MLP, untrained: what it says does not matter to how fast it says it."""

import keras

keras.utils.set_random_seed(1)
model = keras.Sequential(
    [
        keras.layers.Input((784,)),
        keras.layers.Dense(300, activation="relu"),
        keras.layers.Dense(100, activation="relu"),
        keras.layers.Dense(10, activation="softmax"),
    ]
)
model.export("outputs/model")
