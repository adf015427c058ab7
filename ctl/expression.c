/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Values of expressions: see ctl/eval.h. Operators are in operator.c. */
#include "ctl/eval.h"
#include "ctl/text.h"

#include <stdlib.h>

static json_t *script_value(struct shell *shell, const struct node *script, bool collapse)
{
	json_t *output = json_array(), *value;

	if (eval_script(shell, script, output) != FLOW_NEXT) {
		json_decref(output);
		return NULL;
	}
	value = collapse ? value_collapse(output) : json_incref(output);
	json_decref(output);
	return value;
}

static json_t *variable(struct shell *shell, const char *name)
{
	json_t *value = shell_get(shell, name);

	return value ? value : json_null();
}

static json_t *expanded(struct shell *shell, const struct node *node)
{
	struct text text = { 0 };
	json_t *result = NULL;
	size_t i;

	for (i = 0; i < node->count; i++) {
		json_t *part = eval_expression(shell, node->kids[i]);
		char *s;

		if (!part)
			break;
		s = value_text(part);
		text_add(&text, s);
		free(s);
		json_decref(part);
	}
	if (i == node->count)
		result = value_string(text.s ? text.s : "");
	text_free(&text);
	return result;
}

static json_t *member(struct shell *shell, const struct node *node)
{
	json_t *value = eval_expression(shell, node->kids[0]), *result;

	if (!value)
		return NULL;
	result = value_member(value, node->text);
	json_decref(value);
	return result ? result : json_null();
}

static json_t *list(struct shell *shell, const struct node *node)
{
	json_t *array = json_array();

	for (size_t i = 0; i < node->count; i++) {
		json_t *element = eval_expression(shell, node->kids[i]);

		if (!element) {
			json_decref(array);
			return NULL;
		}
		json_array_append_new(array, element);
	}
	return array;
}

/* An array of one; takes the reference. NULL stays NULL. */
static json_t *only(json_t *value)
{
	return value ? json_pack("[o]", value) : NULL;
}

/* Its one argument may be a list, which is then what the brackets had in them. */
static json_t *method(struct shell *shell, const struct node *node)
{
	json_t *self = eval_expression(shell, node->kids[0]), *arguments, *result = NULL;

	if (!self)
		return NULL;
	if (node->count < 2)
		arguments = json_array();
	else if (node->kids[1]->kind == NODE_LIST)
		arguments = list(shell, node->kids[1]);
	else
		arguments = only(eval_expression(shell, node->kids[1]));
	if (arguments)
		result = eval_method(shell, self, node->text, arguments);
	json_decref(arguments);
	json_decref(self);
	return result;
}

static json_t *element_at(const json_t *value, const json_t *index)
{
	json_int_t i = json_integer_value(index), count;
	json_t *result = NULL;

	if (json_is_string(index))
		return value_member(value, json_string_value(index));
	if (json_is_array(value)) {
		count = (json_int_t)json_array_size(value);
		i += i < 0 ? count : 0;
		result = i < 0 ? NULL : json_array_get(value, (size_t)i);
	} else if (i == 0 || i == -1) {
		result = (json_t *)value;
	}
	return json_incref(result);
}

static json_t *indexed(struct shell *shell, const struct node *node)
{
	json_t *value = eval_expression(shell, node->kids[0]), *index, *result = NULL;

	if (!value)
		return NULL;
	index = eval_expression(shell, node->kids[1]);
	if (index) {
		result = element_at(value, index);
		if (!result)
			result = json_null();
	}
	json_decref(index);
	json_decref(value);
	return result;
}

static json_t *hash(struct shell *shell, const struct node *node)
{
	json_t *object = value_object("Hashtable");

	for (size_t i = 0; i + 1 < node->count; i += 2) {
		json_t *key = eval_expression(shell, node->kids[i]);
		json_t *value = key ? eval_expression(shell, node->kids[i + 1]) : NULL;
		char *name = value ? value_text(key) : NULL;

		json_decref(key);
		if (!name) {
			json_decref(object);
			return NULL;
		}
		json_object_set_new(object, name, value);
		free(name);
	}
	return object;
}

static json_t *unary(struct shell *shell, const struct node *node)
{
	json_t *value = eval_expression(shell, node->kids[0]), *zero, *result;

	if (!value)
		return NULL;
	if (*node->op == '!') {
		result = json_boolean(!value_true(value));
	} else {
		zero = json_integer(0);
		result = eval_operator(shell, "-", zero, value);
		json_decref(zero);
	}
	json_decref(value);
	return result;
}

static json_t *binary(struct shell *shell, const struct node *node)
{
	json_t *left = eval_expression(shell, node->kids[0]), *right, *result = NULL;
	bool is_and = !strcmp(node->op, "and"), is_or = !strcmp(node->op, "or");

	if (!left)
		return NULL;
	if ((is_and || is_or) && value_true(left) == is_or) {
		json_decref(left);
		return json_boolean(is_or);
	}
	right = eval_expression(shell, node->kids[1]);
	if (right && (is_and || is_or))
		result = json_boolean(value_true(right));
	else if (right)
		result = eval_operator(shell, node->op, left, right);
	json_decref(left);
	json_decref(right);
	return result;
}

json_t *eval_expression(struct shell *shell, const struct node *node)
{
	switch (node->kind) {
	case NODE_LITERAL:
		return json_incref(node->value);
	case NODE_EXPAND:
		return expanded(shell, node);
	case NODE_VARIABLE:
		return variable(shell, node->text);
	case NODE_MEMBER:
		return member(shell, node);
	case NODE_METHOD:
		return method(shell, node);
	case NODE_INDEX:
		return indexed(shell, node);
	case NODE_LIST:
		return list(shell, node);
	case NODE_SUB:
		return script_value(shell, node->kids[0], true);
	case NODE_ARRAY:
		return script_value(shell, node->kids[0], false);
	case NODE_HASH:
		return hash(shell, node);
	case NODE_UNARY:
		return unary(shell, node);
	case NODE_BINARY:
		return binary(shell, node);
	default: /* statements are no expressions: the parser never puts one here */
		return json_null();
	}
}
