"""Any decoder, before a VAE is trained: at which weight a latent that enters it through an added vector lives."""
