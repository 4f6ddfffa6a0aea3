int bitloomUiPlaceholder();
