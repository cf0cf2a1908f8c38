"""Why a user's call was poor: rules over the samples of all participants."""
